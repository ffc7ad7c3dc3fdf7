import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember, makePass } from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import { packSum, unpackSum } from '../../collectives/packed-sum.ts';
import type { Commit } from '../../protocol/messages.ts';
import { Sums } from './sums.ts';

const ELEMENTS = 16;
const BYTES = 4 * ELEMENTS;

const COMMIT: Commit = {
  kind: 'commit',
  pass: 1,
  step: 0,
  exponents: [0],
  update: { sampleCount: 16, scalars: {} },
};

describe('Sums', () => {
  test('has memory for who can contribute, the same for every frame of it', () => {
    const clock = new ManualClock();
    const sums = new Sums(ELEMENTS);
    const active = joinMember(clock, 'worker 0').member;
    const loading = joinMember(clock, 'worker 1', { phase: 'loading' }).member;

    const memory = sums.targetFor(active, 'contribution', BYTES);

    assert.equal(memory?.length, BYTES);
    assert.equal(sums.targetFor(active, 'contribution', BYTES), memory);
    assert.equal(sums.targetFor(active, 'state', BYTES), undefined);
    assert.equal(sums.targetFor(active, 'contribution', BYTES + 4), undefined);
    assert.equal(sums.targetFor(loading, 'contribution', BYTES), undefined);
  });

  test('gives the memory of a member that is lost to the next', () => {
    const clock = new ManualClock();
    const sums = new Sums(ELEMENTS);
    const [gone, next] = [
      joinMember(clock, 'worker 0').member,
      joinMember(clock, 'worker 1').member,
    ];
    const memory = sums.targetFor(gone, 'contribution', BYTES);

    sums.left({ how: 'lost', member: gone, step: 0, reason: 'it is gone' });

    assert.equal(sums.targetFor(next, 'contribution', BYTES)?.byteOffset, memory?.byteOffset);
  });

  test('adds up sums that come packed, and sends their total so', () => {
    const clock = new ManualClock();
    const { member, data } = joinMember(clock, 'worker 0');
    const payloads: Uint8Array[] = [];
    data.handlers = { onFrame: (_, payload) => void payloads.push(payload), onClose: () => {} };
    const sums = new Sums(ELEMENTS, true);
    const values = Int32Array.from({ length: ELEMENTS }, (_, i) => (i - 8) << 10);
    const { spec } = makePass();

    sums.begin(spec);
    for (let i = 0; i < 2; i++)
      sums.add(sums.received(packSum(new Uint8Array(values.slice().buffer))));
    sums.keep(COMMIT, spec, true);
    sums.send(0, [member], () => {});
    clock.advance(10);

    const total = new Int32Array(ELEMENTS);
    assert.equal(payloads.length, 1);
    assert.ok(payloads[0]!.length < BYTES / 4, `${payloads[0]!.length} bytes`);
    assert.ok(unpackSum(payloads[0]!, new Uint8Array(total.buffer)));
    assert.deepEqual(
      total,
      values.map((value) => 2 * value),
    );
  });

  test('takes what is no packed sum for none', () => {
    const sums = new Sums(ELEMENTS, true);

    assert.notEqual(sums.received(new Uint8Array(BYTES)).length, BYTES);
    assert.equal(sums.received(new Uint8Array(0)).length, 0, 'a contribution without a sum');
  });
});
