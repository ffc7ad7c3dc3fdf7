import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember } from '../../test/pass-facts.ts';
import { ManualClock } from '../base/clock.ts';
import { Sums } from './sums.ts';

const ELEMENTS = 16;
const BYTES = 4 * ELEMENTS;

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
});
