/**
 * The simulation must be able to fail: parts that are broken on purpose, and what its checks say to
 * them.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { messageOf } from '../../../src/base/errors.ts';
import { Pass } from '../../../src/coordinator/steps/pass.ts';
import type { Engine, EngineHandlers } from '../../../src/runtime/engine.ts';
import { checkHistory, undisturbedDigest } from '../../simulation/check-history.ts';
import type { EngineWrapper } from '../../simulation/simulated-cluster.ts';

const HISTORIES = 24;

const expected = undisturbedDigest(1);

/** What became of a few histories with a broken part. */
interface Outcome {
  /** How often the fault was injected, all histories together. */
  readonly injected: number;
  /** What the checks said in histories that they found wrong. */
  readonly findings: readonly string[];
}

/**
 * Runs histories of two or more workers in which `breakPart` breaks engines at each `every`th
 * opportunity.
 */
function runBroken(breakPart: (isDue: () => boolean) => EngineWrapper, every = 6): Outcome {
  const findings: string[] = [];
  let injected = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    let opportunities = 0;
    const isDue = (): boolean => {
      if (++opportunities % every !== 0) return false;
      injected++;
      return true;
    };
    try {
      checkHistory(seed, expected, { workers: 2 + (seed % 3), wrapEngine: breakPart(isDue) });
    } catch (error) {
      findings.push(messageOf(error));
    }
  }
  return { injected, findings };
}

/** An engine with some methods replaced. */
function override(engine: Engine, methods: Partial<Engine>): Engine {
  return {
    begin: (plan) => engine.begin(plan),
    extend: (microBatches) => engine.extend(microBatches),
    release: (count) => engine.release(count),
    audit: (microBatches, done) => engine.audit(microBatches, done),
    apply: (commit, totals, done) => engine.apply(commit, totals, done),
    follow: (grant, seat) => engine.follow(grant, seat),
    halt: (generation, done) => engine.halt(generation, done),
    importState: (bytes, done) => engine.importState(bytes, done),
    exportState: (done) => engine.exportState(done),
    digest: (done) => engine.digest(done),
    totalsTarget: () => engine.totalsTarget(),
    stateTarget: () => engine.stateTarget(),
    close: () => engine.close(),
    ...methods,
  };
}

/** Changes what engines say when they are done. */
function alterDone(alter: (told: EngineHandlers) => EngineHandlers['onDone']): EngineWrapper {
  return (create, handlers) => create({ ...handlers, onDone: alter(handlers) });
}

function assertNoticed({ injected, findings }: Outcome, what: RegExp): void {
  assert.ok(injected >= HISTORIES / 4, `injected ${injected} times`);
  assert.ok(
    findings.length >= HISTORIES / 4,
    `noticed in ${findings.length} of ${HISTORIES} histories`,
  );
  assert.ok(
    findings.some((finding) => what.test(finding)),
    findings[0],
  );
}

describe('the simulation', () => {
  test('finds nothing wrong when engines are wrapped but not broken', () => {
    const { injected, findings } = runBroken((isDue) => (create, handlers) => {
      const engine = create(handlers);
      return override(engine, { begin: (plan) => (isDue(), engine.begin(plan)) });
    });

    assert.ok(injected > 0);
    assert.deepEqual(findings, []);
  });

  test(
    'notices an engine that now and then does not apply an update, and so computes from the ' +
      'wrong step',
    () => {
      const outcome = runBroken((isDue) => (create, handlers) => {
        const engine = create(handlers);
        return override(engine, {
          apply: (commit, totals, done) =>
            isDue() ? engine.digest(() => done([])) : engine.apply(commit, totals, done),
        });
      });

      assertNoticed(outcome, /final state|replica/);
    },
  );

  test('notices an engine that now and then loses the gradients of its micro-batches', () => {
    const outcome = runBroken((isDue) =>
      alterDone((told) => (pass, records, sum) => {
        told.onDone(pass, records, sum.length > 0 && isDue() ? new Uint8Array(sum.length) : sum);
      }),
    );

    assertNoticed(outcome, /final state/);
  });

  test('notices an engine that now and then sums a micro-batch without reporting it', () => {
    const outcome = runBroken((isDue) =>
      alterDone((told) => (pass, records, sum) => {
        told.onDone(
          pass,
          records.length > 1 && sum.length > 0 && isDue() ? records.slice(1) : records,
          sum,
        );
      }),
    );

    assertNoticed(outcome, /final state/);
  });

  test('shows that an engine which contributes twice does no harm', () => {
    const { injected, findings } = runBroken(contributeTwice);

    assert.ok(injected >= HISTORIES);
    assert.deepEqual(findings, []);
  });

  test(
    'notices a lease table that counts whatever comes, once there are contributions that come ' +
      'twice',
    (t) => {
      t.mock.method(Pass.prototype, 'accepts', () => true);

      assertNoticed(runBroken(contributeTwice), /duplicated samples|final state|hung/);
    },
  );

  test('shows that an engine which goes on with work that it gave back does no harm', () => {
    const { injected, findings } = runBroken(keepReleased, 1);

    assert.ok(injected >= HISTORIES / 4, `injected ${injected} times`);
    assert.deepEqual(findings, []);
  });

  test('notices a lease table that counts revoked leases', (t) => {
    t.mock.method(Pass.prototype, 'accepts', () => true);

    assertNoticed(runBroken(keepReleased, 1), /duplicated samples|final state|hung/);
  });
});

function contributeTwice(isDue: () => boolean): EngineWrapper {
  return alterDone((told) => (pass, records, sum) => {
    const copy = sum.slice();
    told.onDone(pass, records, sum);
    if (isDue()) told.onDone(pass, records, copy);
  });
}

function keepReleased(isDue: () => boolean): EngineWrapper {
  return (create, handlers) => {
    const engine = create(handlers);
    return override(engine, {
      release: (count) => {
        const released = engine.release(count);
        if (released.length > 0 && isDue()) engine.extend(released);
        return released;
      },
    });
  };
}
