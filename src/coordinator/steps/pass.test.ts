import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { MicroBatchRecord } from '../../protocol/messages.ts';
import { Pass, type PassSpec } from './pass.ts';

const WORKERS = ['a', 'b', 'c'];
const MICRO_BATCHES = 6;
const SAMPLES = [4, 4, 4, 4, 4, 2];

const SPEC: PassSpec = {
  id: 1,
  work: 'train',
  step: 0,
  epoch: 0,
  stepInEpoch: 0,
  microBatchCount: MICRO_BATCHES,
  sampleCount: 22,
  exponents: [0],
  reduction: 'star',
};

function recordOf(microBatch: number): MicroBatchRecord {
  return {
    microBatch,
    sampleCount: SAMPLES[microBatch] ?? 1,
    lossSum: 0,
    correctSum: 0,
    maxima: [1],
    computeMs: 1,
  };
}

const allMicroBatches = Array.from({ length: MICRO_BATCHES }, (_, m) => m);

describe('Pass', () => {
  test(
    'counts nothing twice and nothing from somebody without the lease, whatever the order of ' +
      'events',
    () => {
      const someMicroBatches = fc.array(fc.integer({ min: -1, max: MICRO_BATCHES }), {
        maxLength: 4,
      });
      const someEvent = fc.record({
        kind: fc.constantFrom(
          'lease',
          'lease',
          'revoke',
          'revoke all',
          'contribute',
          'contribute',
          'contribute leases',
        ),
        worker: fc.constantFrom(...WORKERS),
        microBatches: someMicroBatches,
      });
      fc.assert(
        fc.property(fc.array(someEvent, { maxLength: 60 }), (events) => {
          const pass = new Pass(SPEC);
          // What should be true, kept in the plainest way.
          const held = new Set<string>();
          const holds = (worker: string, m: number): boolean => held.has(`${worker} ${m}`);
          const counted = new Set<number>();
          const contribute = (worker: string, microBatches: readonly number[]): void => {
            const isRight =
              microBatches.length > 0 &&
              new Set(microBatches).size === microBatches.length &&
              microBatches.every((m) => holds(worker, m) && !counted.has(m));
            assert.equal(pass.accepts(worker, microBatches), isRight);
            if (!isRight) return;
            pass.count(microBatches.map(recordOf));
            for (const m of microBatches) counted.add(m);
          };

          for (const { kind, worker, microBatches } of events) {
            if (kind === 'lease') {
              const free = new Set(
                microBatches.filter((m) => allMicroBatches.includes(m) && !holds(worker, m)),
              );
              pass.lease(worker, [...free]);
              for (const m of free) held.add(`${worker} ${m}`);
            } else if (kind === 'revoke' || kind === 'revoke all') {
              const asked = kind === 'revoke all' ? allMicroBatches : [...new Set(microBatches)];
              const expected = asked.filter((m) => holds(worker, m) && !counted.has(m));
              assert.deepEqual(
                kind === 'revoke all' ? pass.revoke(worker) : pass.revoke(worker, asked),
                expected,
              );
              for (const m of expected) held.delete(`${worker} ${m}`);
            } else if (kind === 'contribute') contribute(worker, microBatches);
            else contribute(worker, pass.unfinishedOf(worker));
            checkLedger(pass, counted);
            const left = allMicroBatches.filter((m) => !counted.has(m));
            for (const w of WORKERS) {
              assert.deepEqual(
                pass.unfinishedOf(w),
                left.filter((m) => holds(w, m)),
              );
            }
            assert.deepEqual(
              pass.uncoveredBy(['a', 'b']),
              left.filter((m) => !holds('a', m) && !holds('b', m)),
            );
          }
        }),
        { numRuns: 500 },
      );
    },
  );

  function checkLedger(pass: Pass, counted: ReadonlySet<number>): void {
    const samples = [...counted].reduce((sum, m) => sum + SAMPLES[m]!, 0);
    assert.deepEqual(pass.ledger(), {
      expected: SPEC.sampleCount,
      counted: samples,
      dropped: SPEC.sampleCount - samples,
      duplicated: 0,
    });
    assert.equal(pass.isComplete, counted.size === MICRO_BATCHES);
  }

  test('gives the records of a complete pass in order of micro-batch, however they came', () => {
    const pass = new Pass(SPEC);
    pass.lease('a', [0, 2, 4]);
    pass.lease('b', [1, 3, 5]);

    pass.count([5, 1, 3].map(recordOf));
    assert.throws(() => pass.records(), { code: 'INTERNAL' });
    pass.count([4, 0, 2].map(recordOf));

    assert.equal(pass.isComplete, true);
    assert.deepEqual(
      pass.records().map(({ microBatch }) => microBatch),
      allMicroBatches,
    );
  });

  test('leases what a late worker holds to another, and counts whoever is first', () => {
    const pass = new Pass(SPEC);
    pass.lease('a', [0, 1]);
    pass.lease('b', [1]);

    assert.throws(() => pass.lease('b', [1]), { code: 'INTERNAL' });
    assert.equal(pass.accepts('b', [1]), true);
    pass.count([recordOf(1)]);

    assert.equal(pass.accepts('a', [0, 1]), false);
    assert.deepEqual(pass.uncoveredBy(['b']), [0, 2, 3, 4, 5]);
  });

  test('does not accept a contribution that is partly revoked', () => {
    const pass = new Pass(SPEC);
    pass.lease('a', [0, 1]);
    pass.revoke('a', [1]);
    pass.lease('b', [1]);

    assert.equal(pass.accepts('a', [0, 1]), false);
    assert.equal(pass.accepts('a', [0]), true);
    assert.equal(pass.accepts('b', [1]), true);
  });

  test('would show a micro-batch that was counted twice in its ledger', () => {
    const pass = new Pass(SPEC);
    pass.lease('a', [0]);

    pass.count([recordOf(0)]);
    pass.count([recordOf(0)]);

    assert.deepEqual(pass.ledger(), { expected: 22, counted: 4, dropped: 18, duplicated: 4 });
  });
});
