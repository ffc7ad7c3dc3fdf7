import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { launchedRank } from './launched-rank.ts';

describe('launchedRank', () => {
  test('is that of the innermost launcher', () => {
    const all = {
      JOB_COMPLETION_INDEX: '6',
      SLURM_STEP_ID: '0',
      SLURM_PROCID: '5',
      PMIX_RANK: '4',
      PMI_RANK: '3',
      OMPI_COMM_WORLD_RANK: '2',
      RANK: '1',
    };
    const names = Object.keys(all).filter((name) => name !== 'SLURM_STEP_ID');
    for (const [index, name] of names.entries()) {
      const known = ['SLURM_STEP_ID', ...names.slice(0, index + 1)];
      const environment = Object.fromEntries(
        Object.entries(all).filter(([n]) => known.includes(n)),
      );
      assert.equal(launchedRank(environment)?.name, name);
    }
  });

  test('is none in a batch script of Slurm, nor by what is no number', () => {
    assert.equal(launchedRank({ SLURM_PROCID: '0', SLURM_NTASKS: '4' }), undefined);
    assert.equal(launchedRank({ RANK: 'captain', PMI_RANK: '-1', PMIX_RANK: '70000' }), undefined);
    assert.equal(launchedRank({}), undefined);
  });
});
