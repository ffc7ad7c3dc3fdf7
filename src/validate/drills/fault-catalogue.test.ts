import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ConfigError } from '../../base/errors.ts';
import { GRADIENT_FAULTS } from './gradient-faults.ts';
import { FAULTS, faultsNamed } from './fault-catalogue.ts';
import { obstacleTo, planFault } from './fault-injectors.ts';
import { NO_WORKER } from './fault-verdict.ts';

describe('FAULTS', () => {
  test("begin with MiniCluster's three, have names of their own, and hold every gradient fault", () => {
    const names = FAULTS.map(({ name }) => name);

    assert.deepEqual(names.slice(0, 3), ['slow_worker', 'gradient_sync_anomaly', 'worker_timeout']);
    assert.equal(new Set(names).size, names.length);
    for (const name of Object.keys(GRADIENT_FAULTS))
      assert.ok(
        names.some((known) => known === name),
        name,
      );
  });
});

describe('docs/fault-detection.md', () => {
  test('tells of every fault how it is injected', () => {
    const page = readFileSync(new URL('../../../docs/fault-detection.md', import.meta.url), 'utf8');
    const [told = ''] = page.split('## Measured');

    for (const { name } of FAULTS) assert.ok(told.includes(`\`${name}\``), name);
  });
});

describe('faultsNamed', () => {
  test('gives the faults in the order of the catalogue', () => {
    const names = faultsNamed('kill, slow_worker').map(({ name }) => name);

    assert.deepEqual(names, ['slow_worker', 'kill']);
  });

  test('lists the faults there are, with the nearest, when a name is unknown', () => {
    assert.throws(
      () => faultsNamed('kill,slow_wroker'),
      (error) =>
        error instanceof ConfigError &&
        /no fault "slow_wroker"\. Did you mean slow_worker\? There are: .*disk_full/.test(
          error.message,
        ),
    );
    assert.throws(() => faultsNamed('kill,'), /no fault ""/);
  });
});

describe('planFault', () => {
  test('hits every worker, in the first quarter of the run, the same for the same seed', () => {
    const [fault] = faultsNamed('gradient_zeros');
    const plans = Array.from({ length: 60 }, (_, seed) =>
      planFault(fault!, { workers: 3, steps: 20, seed }),
    );

    assert.deepEqual(new Set(plans.map(({ rank }) => rank)), new Set([0, 1, 2]));
    assert.deepEqual(new Set(plans.map(({ step }) => step)), new Set([1, 2, 3, 4, 5]));
    assert.deepEqual(planFault(fault!, { workers: 3, steps: 20, seed: 7 }), plans[7]);
  });

  test('names no worker for a full disk, and no step later than the first for wrong data', () => {
    const [wrongData, diskFull] = faultsNamed('wrong_data,disk_full');
    const run = { workers: 3, steps: 20, seed: 1 };

    assert.equal(planFault(wrongData!, run).step, 0);
    assert.equal(planFault(diskFull!, run).rank, NO_WORKER);
  });
});

describe('obstacleTo', () => {
  test('says what a machine lacks for a fault, and nothing of faults that need nothing', () => {
    const [diskFull] = faultsNamed('disk_full');

    assert.equal(
      obstacleTo(diskFull!, () => false),
      'this system has no /dev/full',
    );
    assert.equal(
      obstacleTo(diskFull!, () => true),
      undefined,
    );
    for (const fault of faultsNamed('slow_worker,kill,partition'))
      assert.equal(
        obstacleTo(fault, () => false),
        undefined,
      );
  });
});
