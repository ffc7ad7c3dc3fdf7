import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { Piece, PieceRequest } from '../data/parcels/piece.ts';
import { parseToCoordinator, type Samples, type SendSamples } from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { SampleRequests } from './sample-requests.ts';

const FIRST: PieceRequest = { split: 'd', part: 'x', offset: 0, byteLength: 3 };
const SECOND: PieceRequest = { ...FIRST, offset: 3 };

/** A worker's requests, and the coordinator's end of its data connection. */
function createWorld() {
  const clock = new ManualClock();
  const hosts = [new SimulatedHost('worker'), new SimulatedHost('coordinator')] as const;
  const [near, far] = connectInMemory(clock, { delayMs: () => 1, heldUntilMs: 0 }, ...hosts);
  const silences: string[] = [];
  const requests = new SampleRequests(clock, (reason) => void silences.push(reason));
  near.handlers = { onFrame: () => {}, onClose: () => {} };
  const said: SendSamples[] = [];
  far.limits = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 0 };
  far.handlers = {
    onFrame: (header) => void said.push(parseToCoordinator(header, 'worker') as SendSamples),
    onClose: () => {},
  };
  const answers: Piece[] = [];
  const failures: LockstepError[] = [];
  const supply = requests.supplyOf({});
  const ask = (request: PieceRequest): void =>
    supply.ask(
      request,
      (piece) => void answers.push(piece),
      (error) => void failures.push(error),
    );
  const answer = (request: PieceRequest, isPacked = false): void => {
    const message: Samples = { kind: 'samples', ...request, isPacked };
    requests.take(message, new Uint8Array([request.offset]));
  };
  return { clock, near, far, requests, said, answers, failures, silences, ask, answer };
}

describe('SampleRequests', () => {
  test('asks as soon as there is a connection, and answers in order', () => {
    const { clock, near, requests, said, answers, ask, answer } = createWorld();
    ask(FIRST);
    assert.deepEqual(said, []);
    requests.attach(near);
    ask(SECOND);
    clock.advance(5);

    assert.deepEqual(said, [
      { kind: 'sendSamples', ...FIRST },
      { kind: 'sendSamples', ...SECOND },
    ]);
    answer(FIRST, true);
    answer(FIRST, true);
    answer(SECOND);

    assert.deepEqual(
      answers.map(({ bytes, isPacked }) => [bytes[0], isPacked]),
      [
        [0, true],
        [3, false],
      ],
    );
    clock.advance(60_000);
    assert.equal(clock.pendingCount(), 0);
  });

  test('takes nothing that is not the next of what was asked for', () => {
    const wrong: readonly Partial<PieceRequest>[] = [
      { offset: 3 },
      { split: 'e' },
      { part: 'y' },
      { byteLength: 2 },
    ];
    for (const change of wrong) {
      const { near, requests, ask, answer } = createWorld();
      requests.attach(near);
      ask(FIRST);
      assert.throws(() => answer({ ...FIRST, ...change }), { code: 'PROTOCOL_INVALID' });
    }
    assert.throws(() => createWorld().answer(FIRST), {
      message: /^samples: expected none, got 0 of x$/,
    });
  });

  test('gives up a coordinator that sends no byte while something is missing', () => {
    const { clock, near, far, requests, silences, ask } = createWorld();
    const beat = (connection: Connection): void => connection.send({ kind: 'any' });
    requests.attach(near);
    clock.advance(100_000);
    ask(FIRST);
    clock.advance(29_000);
    beat(far);
    clock.advance(29_000);
    assert.deepEqual(silences, []);

    clock.advance(2_000);

    assert.deepEqual(silences, ['no data for 30 s']);
  });

  test('fails all that is missing when the connection is over, and what is asked for later', () => {
    const { clock, near, requests, failures, ask } = createWorld();
    requests.attach(near);
    ask(FIRST);
    ask(SECOND);

    requests.close();
    ask(FIRST);

    assert.deepEqual(
      failures.map(({ code }) => code),
      ['PEER_LOST', 'PEER_LOST', 'PEER_LOST'],
    );
    clock.advance(5);
    assert.equal(clock.pendingCount(), 0);
  });
});
