import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { groupName, launchedGroup, launchedRank } from './launched-group.ts';

/** What each launcher sets in the process of rank 2 of 4, as recorded from real ones. */
const ENVIRONMENTS: Readonly<Record<string, NodeJS.ProcessEnv>> = {
  torchrun: {
    ...{ RANK: '2', WORLD_SIZE: '4', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '2', GROUP_RANK: '1' },
    ...{ MASTER_ADDR: '10.0.0.1', MASTER_PORT: '29400', TORCHELASTIC_RUN_ID: 'none' },
    ...{ TORCHELASTIC_RESTART_COUNT: '0', TORCHELASTIC_USE_AGENT_STORE: 'True' },
  },
  'Open MPI': {
    ...{ OMPI_COMM_WORLD_RANK: '2', OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_LOCAL_RANK: '0' },
    ...{ OMPI_COMM_WORLD_LOCAL_SIZE: '2', OMPI_UNIVERSE_SIZE: '4', PMIX_RANK: '2' },
    ...{ PMIX_NAMESPACE: '1404567553', OMPI_MCA_orte_precondition_transports: 'beb2-9908' },
  },
  MPICH: {
    ...{ PMI_RANK: '2', PMI_SIZE: '4', PMI_FD: '6', HYDI_CONTROL_FD: '7' },
    ...{ MPI_LOCALRANKID: '0', MPI_LOCALNRANKS: '2' },
  },
  srun: {
    ...{ SLURM_PROCID: '2', SLURM_NTASKS: '4', SLURM_STEP_NUM_TASKS: '4', SLURM_NODEID: '1' },
    ...{ SLURM_LOCALID: '0', SLURM_STEP_TASKS_PER_NODE: '2(x2)', SLURM_JOB_ID: '7' },
    ...{ SLURM_STEP_ID: '0', SLURM_STEP_NODELIST: 'n[1-2]', SLURM_LAUNCH_NODE_IPADDR: '10.0.0.9' },
  },
  Kubernetes: {
    ...{ JOB_COMPLETION_INDEX: '2', WORLD_SIZE: '4', MASTER_ADDR: 'first-0.first' },
    ...{ MASTER_PORT: '29500', KUBERNETES_SERVICE_HOST: '10.96.0.1' },
  },
};
const { srun, 'Open MPI': openMpi, MPICH: mpich, torchrun } = ENVIRONMENTS;
/** In the processes that srun starts with a plugin for MPI. */
const PMI2 = { ...srun, PMI_RANK: '2', PMI_SIZE: '4', PMI_FD: '10' };
const PMIX = { ...srun, PMIX_RANK: '2', PMIX_NAMESPACE: 'slurm.pmix.7.0' };

describe('launchedGroup', () => {
  for (const [launcher, environment] of Object.entries(ENVIRONMENTS))
    test(`knows rank and size that ${launcher} gives`, () => {
      const group = launchedGroup(environment)!;

      assert.equal(group.launcher, launcher);
      assert.deepEqual([group.rank, group.size], [2, 4]);
      assert.equal(group.localSize, launcher === 'Kubernetes' ? 1 : 2);
    });

  test('knows srun with a plugin for MPI, and mpirun in a job of Slurm', () => {
    // There the number of Slurm is that of a daemon, which is the same for two ranks.
    const daemon = { ...srun, SLURM_PROCID: '0', SLURM_NTASKS: '2', SLURM_STEP_NUM_TASKS: '2' };
    const seen = [PMI2, PMIX, { ...daemon, ...openMpi }, { ...daemon, ...mpich }].map((env) => {
      const { launcher, rank, size, localSize } = launchedGroup(env)!;
      return [launcher, rank, size, localSize];
    });

    assert.deepEqual(seen, [
      ['srun', 2, 4, 2],
      ['srun', 2, 4, 2],
      ['Open MPI', 2, 4, 2],
      ['MPICH', 2, 4, 2],
    ]);
  });

  test('is none for one process, without a size, and in a batch script of Slurm', () => {
    const { SLURM_STEP_ID: _, ...batch } = srun!;
    for (const environment of [
      {},
      batch,
      { JOB_COMPLETION_INDEX: '2' },
      { RANK: '0' },
      { RANK: '0', WORLD_SIZE: '1' },
      { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' },
      { RANK: 'captain', WORLD_SIZE: '4' },
    ])
      assert.equal(launchedGroup(environment), undefined);
  });

  test('tells where rank 0 is, next to the port where the agent of torchrun listens', () => {
    const leaders = [torchrun, srun, ENVIRONMENTS['Kubernetes'], mpich].map(
      (env) => launchedGroup(env!)?.leader,
    );

    assert.deepEqual(leaders, [
      { host: '10.0.0.1', port: 29_401 },
      { host: 'n1', port: undefined },
      { host: 'first-0.first', port: 29_500 },
      undefined,
    ]);
  });

  test('refuses a number that was set by hand, and would be that of every process', () => {
    const byHand = { RANK: '0', WORLD_SIZE: '4' };
    for (const launcher of [openMpi, mpich, srun])
      assert.throws(() => launchedGroup({ ...launcher, ...byHand }), /to go by the latter, unset/i);
    assert.equal(launchedGroup({ ...srun, ...torchrun })?.launcher, 'torchrun');
  });

  test('refuses processes that would each be alone, and a rank beyond the size', () => {
    const alone = { ...srun, PMI_RANK: '0', PMI_SIZE: '1', MPI_LOCALNRANKS: '1' };

    assert.throws(
      () => launchedGroup(alone),
      /by PMI_RANK \(MPICH\) this is rank 0 of 1, by SLURM/,
    );
    assert.throws(() => launchedGroup({ RANK: '4', WORLD_SIZE: '4' }), /expected a rank below 4/);
  });
});

test('groupName is the same for all ranks of a start, and for no other', () => {
  const nameOf = (more: NodeJS.ProcessEnv, words: readonly string[] = []): string =>
    groupName(launchedGroup({ ...srun, ...more })!, words);
  const others = [
    nameOf({ SLURM_JOB_ID: '8' }),
    nameOf({ SLURM_STEP_ID: '1' }),
    nameOf({ SLURM_RESTART_COUNT: '1' }),
    nameOf({}, ['--seed', '8']),
  ];

  assert.equal(nameOf({}), nameOf({ SLURM_PROCID: '0', SLURM_NODEID: '0' }));
  assert.equal(new Set([nameOf({}), ...others]).size, 5);
});

test('launchedRank needs no size, and is none in a batch script of Slurm', () => {
  assert.deepEqual(launchedRank({ JOB_COMPLETION_INDEX: '6' }), {
    ...{ rank: 6, name: 'JOB_COMPLETION_INDEX' },
  });
  assert.equal(launchedRank({ ...srun, RANK: '1' })?.name, 'RANK');
  assert.equal(launchedRank({ SLURM_PROCID: '0', SLURM_NTASKS: '4' }), undefined);
  assert.equal(launchedRank({ RANK: 'captain', PMI_RANK: '-1', PMIX_RANK: '70000' }), undefined);
});
