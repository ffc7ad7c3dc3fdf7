import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  begunOf,
  countedOf,
  joinMember,
  makePass,
  type MemberChanges,
  recordOf,
  type TestMember,
} from '../../test/pass-facts.ts';
import { ManualClock } from '../base/clock.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { Auditor } from './auditor.ts';

const TIMES = { nowMs: 0, turnaroundMs: 1, busyMs: 1 };

/** An auditor that audits every step, in the pass of one, and its members, active in that order. */
function createWorld(changes: readonly MemberChanges[], rate = 1) {
  const clock = new ManualClock();
  const workers = changes.map((change, i) => joinMember(clock, `worker ${i}`, change));
  const active = workers.map(({ member }) => member);
  const options = { clock, rate, seed: 1, totalSteps: 100, active: () => active };
  const auditor = new Auditor(options);
  const pass = makePass({ id: 7, step: 3, microBatchCount: 2, sampleCount: 4 });
  auditor.begun(begunOf(pass, 0, active));
  const count = ({ member }: TestMember, ...records: MicroBatchRecord[]): void => {
    pass.count(records);
    auditor.counted(countedOf(member, pass, records, TIMES));
  };
  /** Micro-batches that a worker was asked to compute for comparison. */
  const askedOf = ({ received }: TestMember): number[] => {
    clock.advance(5);
    return received.flatMap((message) => (message.kind === 'audit' ? message.microBatches : []));
  };
  const [a, b, c] = workers as [TestMember, TestMember, TestMember];
  return { auditor, active, pass, a, b, c, count, askedOf };
}

describe('Auditor', () => {
  test('asks another worker for one micro-batch of each, and is settled when they agree', () => {
    const { auditor, pass, a, b, count, askedOf } = createWorld([{}, {}]);
    count(a, recordOf(0, { checksum: 5 }));
    count(b, recordOf(1, { checksum: 6 }));
    assert.deepEqual([askedOf(a), askedOf(b)], [[1], [0]]);
    assert.equal(auditor.isSettled(pass), false);

    auditor.answered(a.member, [recordOf(1, { checksum: 6, computeMs: 99 })]);
    auditor.answered(b.member, [recordOf(0, { checksum: 5, computeMs: 99 })]);

    assert.equal(auditor.isSettled(pass), true);
    assert.deepEqual(auditor.takeFindings(), []);
    assert.equal(auditor.auditedCount, 2);
  });

  test('asks for one of whoever had no part in a sampled step when it has one, once', () => {
    const { auditor, active, a, b, c, askedOf } = createWorld([{}, {}, {}], 0.01);
    const asked = (): number => [a, b, c].flatMap(askedOf).length;
    const partOf = (step: number, { member }: TestMember): number => {
      const before = asked();
      const pass = makePass({ id: step, step, microBatchCount: 1, sampleCount: 2 });
      auditor.begun(begunOf(pass, 0, active));
      pass.count([recordOf(0)]);
      auditor.counted(countedOf(member, pass, [recordOf(0)], TIMES));
      auditor.abandoned();
      return asked() - before;
    };
    let sampled = 4;
    while (partOf(sampled, a) === 0) sampled++;

    assert.equal(partOf(sampled + 1, a), 0, 'who had a part in it');
    assert.ok(partOf(sampled + 1, b) > 0, 'who had none');
    assert.equal(partOf(sampled + 2, b), 0);
    auditor.left({ how: 'lost', member: c.member, step: sampled, reason: '' });
    assert.equal(partOf(sampled + 2, c), 0, 'who is gone owes nothing');
  });

  test('finds who is wrong when two agree against a third, and says so once', () => {
    const { auditor, a, b, c, count, askedOf } = createWorld([{}, {}, {}]);
    count(a, recordOf(0, { checksum: 5 }));
    assert.deepEqual(askedOf(b), [0]);
    auditor.answered(b.member, [recordOf(0, { checksum: 6 })]);
    assert.deepEqual(askedOf(c), [0]);
    assert.deepEqual(auditor.takeFindings(), []);

    auditor.answered(c.member, [recordOf(0, { checksum: 6 })]);

    const found = auditor.takeFindings();
    assert.deepEqual(
      found.map(({ kind, opinions }) => [kind, opinions.map(({ workerId }) => workerId)]),
      [['wrong', ['worker 0']]],
    );
    assert.deepEqual(auditor.takeFindings(), []);
  });

  test('finds a dispute when two differ and there is no third, also because the third left', () => {
    const { auditor, active, a, b, c, count, askedOf } = createWorld([{}, {}, {}]);
    count(a, recordOf(0, { checksum: 5 }));
    auditor.answered(b.member, [recordOf(0, { checksum: 6 })]);
    assert.deepEqual(askedOf(c), [0]);

    active.pop();
    auditor.left({ how: 'lost', member: c.member, step: 3, reason: 'gone' });

    assert.deepEqual(
      auditor.takeFindings().map(({ kind, microBatch }) => [kind, microBatch]),
      [['disputed', 0]],
    );
  });

  test('ignores answers that it has not asked for', () => {
    const { auditor, pass, a, b, c, count } = createWorld([{}, {}, {}]);
    count(a, recordOf(0, { checksum: 5 }), recordOf(1, { checksum: 6 }));

    auditor.answered(c.member, [recordOf(0, { checksum: 1 }), recordOf(1, { checksum: 1 })]);
    auditor.answered(a.member, [recordOf(0, { checksum: 1 }), recordOf(1, { checksum: 1 })]);

    assert.equal(auditor.isAsked(b.member.workerId), true);
    assert.equal(auditor.isSettled(pass), false);
    assert.deepEqual(auditor.takeFindings(), []);
  });

  test('asks nobody who computes other bits, or on a GPU', () => {
    const others: readonly MemberChanges[] = [{ numericsClass: 'two' }, { device: 'cuda' }];
    const { auditor, pass, a, b, c, count, askedOf } = createWorld([{}, ...others]);

    count(a, recordOf(0, { checksum: 5 }));

    assert.deepEqual([...askedOf(b), ...askedOf(c)], []);
    assert.equal(auditor.isAsked(b.member.workerId), false);
    count(b, recordOf(1, { checksum: 6 }));
    assert.equal(auditor.isSettled(pass), true);
    assert.equal(auditor.auditedCount, 0);
  });

  test('forgets what it has asked and found when the pass is abandoned', () => {
    const { auditor, a, b, count } = createWorld([{}, {}]);
    count(a, recordOf(0, { checksum: 5 }));
    auditor.answered(b.member, [recordOf(0, { checksum: 6 })]);

    auditor.abandoned();

    assert.deepEqual(auditor.takeFindings(), []);
    assert.equal(auditor.isAsked(b.member.workerId), false);
  });

  test('looks at nothing but what is not finite when it is off', () => {
    const { auditor, pass, a, b, count, askedOf } = createWorld([{}, {}], 0);

    count(a, recordOf(0, { lossSum: 1e30, checksum: 5, weightsChecksum: 1 }));
    count(b, recordOf(1, { maxima: [1e30], checksum: 6, weightsChecksum: 2 }));

    assert.equal(auditor.isOn, false);
    assert.equal(auditor.isSettled(pass), true);
    assert.deepEqual([...askedOf(a), ...askedOf(b)], []);
  });

  const NOT_FINITE: readonly Partial<MicroBatchRecord>[] = [{ lossSum: null }, { maxima: [null] }];

  for (const wrong of NOT_FINITE) {
    const what = JSON.stringify(wrong);

    test(`finds who is alone with what is not finite: ${what}`, () => {
      // Also where nobody computes the same bits: to be a number is the same for all.
      const { auditor, pass, a, b, c, count, askedOf } = createWorld(
        [{}, { device: 'cuda' }, { numericsClass: 'two' }],
        0,
      );
      count(a, recordOf(0, wrong));
      count(b, recordOf(1));
      assert.equal(auditor.isSettled(pass), false);
      assert.deepEqual([askedOf(a), askedOf(b), askedOf(c)], [[], [0], []]);
      auditor.answered(b.member, [recordOf(0)]);
      assert.deepEqual(askedOf(c), [0]);
      auditor.answered(c.member, [recordOf(0, { lossSum: 2 })]);

      const found = auditor.takeFindings();
      assert.deepEqual(
        found.map(({ kind, opinions }) => [kind, opinions.map(({ workerId }) => workerId)]),
        [['wrong', ['worker 0']]],
      );
    });

    test(`finds nothing where another worker gets no number either: ${what}`, () => {
      for (const answers of [['b'], ['b', 'c']]) {
        const { auditor, pass, a, b, c, count } = createWorld([{}, {}, {}], 0);
        count(a, recordOf(0, wrong), recordOf(1, wrong));
        assert.equal(auditor.isSettled(pass), false);
        if (answers.length === 2) auditor.answered(b.member, [recordOf(0)]);
        const last = answers.length === 2 ? c : b;
        auditor.answered(last.member, [recordOf(0, { maxima: [null] })]);

        assert.equal(auditor.isSettled(pass), true);
        assert.deepEqual(auditor.takeFindings(), []);
      }
    });

    test(`believes the one of two who gets a number: ${what}`, () => {
      const { auditor, active, pass, a, b, c, count } = createWorld([{}, {}, {}], 0);
      active.pop();
      count(a, recordOf(0, wrong), recordOf(1));
      assert.equal(auditor.isSettled(pass), false);
      auditor.answered(b.member, [recordOf(0)]);

      assert.equal(auditor.isAsked(c.member.workerId), false);
      const [found] = auditor.takeFindings();
      assert.deepEqual(
        found?.opinions.map(({ workerId }) => workerId),
        ['worker 0'],
      );
    });

    test(`asks a worker that is alone twice, and goes by what it says then: ${what}`, () => {
      for (const again of [{}, wrong]) {
        const { auditor, active, pass, a, count, askedOf } = createWorld([{}, {}, {}], 0);
        active.splice(1);
        count(a, recordOf(0, wrong), recordOf(1));
        assert.equal(auditor.isSettled(pass), false);
        assert.deepEqual(askedOf(a), [0, 0]);
        auditor.answered(a.member, [recordOf(0), recordOf(0, again)]);

        assert.equal(auditor.isSettled(pass), true);
        const kinds = auditor.takeFindings().map(({ kind }) => kind);
        assert.deepEqual(kinds, again === wrong ? [] : ['unrepeated']);
      }
    });
  }
});
