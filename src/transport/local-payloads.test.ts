import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { ProtocolError } from '../base/errors.ts';
import type { LinkMessage } from './frame.ts';
import { LocalPayloads, Outbox } from './local-payloads.ts';

const NONCE = 'ab'.repeat(32);
const CONTENT = Buffer.concat([Buffer.from(NONCE, 'hex'), Buffer.from('a secret of this machine')]);
const isHere = new Outbox().offer() !== undefined;
const undo: (() => void)[] = [];

afterEach(() => {
  for (const action of undo.splice(0)) action();
});

/** A connection's end, and what it tells the other. */
function createEnd(seesHere = true) {
  const outbox = new Outbox();
  const told: LinkMessage[] = [];
  const end = new LocalPayloads(outbox, (message) => void told.push(message), seesHere);
  undo.push(() => {
    end.close();
    outbox.close();
  });
  return { end, told };
}

/** Opens a file with the nonce at `path`, as somebody might who wants us to read it. */
function plant(path: string, { isRemoved }: { readonly isRemoved: boolean }): number {
  writeFileSync(path, CONTENT);
  const descriptor = openSync(path, 'r');
  if (isRemoved) unlinkSync(path);
  undo.push(() => {
    closeSync(descriptor);
    rmSync(path, { force: true });
  });
  return descriptor;
}

function answerTo(descriptor: number, processId = process.pid): LinkMessage | undefined {
  const { end, told } = createEnd();
  end.receive({ offer: { processId, descriptor, nonce: NONCE } });
  return told[0];
}

function ourName(): string {
  return `/dev/shm/lockstep-${process.pid.toString(16).padStart(32, '0')}`;
}

describe('LocalPayloads', { skip: !isHere && 'there is no file system in memory' }, () => {
  test('reads what the other side has put into its own file', () => {
    const near = createEnd();
    const far = createEnd();
    assert.equal(near.end.isOpen(), false);
    far.end.receive(near.told[0]);
    near.end.receive(far.told[0]);
    const payload = Uint8Array.from({ length: 5_000 }, (_, i) => i & 255);
    const target = new Uint8Array(payload.length);

    assert.equal(near.end.isOpen(), true);
    far.end.read(near.end.announce(near.end.put(payload)!), target);

    assert.deepEqual(target, payload);
  });

  test('sends inline when only one of the ends sees the other on this machine', () => {
    const near = createEnd();
    const behindForwardedPort = createEnd(false);

    near.end.isOpen();
    behindForwardedPort.end.receive(near.told[0]);
    near.end.receive(behindForwardedPort.told[0]);

    assert.deepEqual(behindForwardedPort.told, [{ accepted: false }]);
    assert.equal(near.end.isOpen(), false);
    assert.equal(behindForwardedPort.end.isOpen(), false);
    assert.equal(behindForwardedPort.told.length, 1, 'it offers nothing');
  });

  test('takes a removed file of ours with the nonce, and no file that differs in anything', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-planted-'));
    undo.push(() => rmSync(folder, { recursive: true }));
    const removed = { isRemoved: true };
    const ours = answerTo(plant(ourName(), removed));
    const named = answerTo(plant(ourName(), { isRemoved: false }));
    const foreign = answerTo(plant('/dev/shm/of-another-program', removed));
    const elsewhere = answerTo(plant(join(folder, `lockstep-${'0'.repeat(32)}`), removed));

    assert.deepEqual(ours, { accepted: true });
    for (const answer of [named, foreign, elsewhere]) assert.deepEqual(answer, { accepted: false });
  });

  test('declines what is no file, or not there', () => {
    const device = openSync('/dev/zero', 'r');
    undo.push(() => closeSync(device));

    for (const descriptor of [device, -1, 99_999])
      assert.deepEqual(answerTo(descriptor), { accepted: false });
    assert.deepEqual(answerTo(0, -1), { accepted: false });
    assert.deepEqual(answerTo(0, 2 ** 40), { accepted: false });
  });

  test('takes one offer of a connection, and no answer to what it has not asked', () => {
    const { end } = createEnd();
    const offer = { processId: process.pid, descriptor: 0, nonce: NONCE };
    end.receive({ offer });

    assert.throws(() => end.receive({ offer }), ProtocolError);
    assert.throws(() => end.receive({ accepted: true }), ProtocolError);
  });
});
