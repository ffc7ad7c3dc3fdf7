/** The rank that a launcher around this process has given it, by the names of several launchers. */

/** A rank, and the variable that has it. */
export interface LaunchedRank {
  readonly rank: number;
  readonly name: string;
}

const MAX_RANK = 65_535;

/**
 * In the order in which they are believed: who starts processes itself knows better than what it
 * runs in.
 */
const NAMES: readonly string[] = [
  'RANK', // torchrun
  'OMPI_COMM_WORLD_RANK', // Open MPI
  'PMI_RANK', // MPICH, Intel MPI
  'PMIX_RANK',
  'SLURM_PROCID',
  'JOB_COMPLETION_INDEX', // an Indexed Job of Kubernetes
];

/** The rank by the first of the names that holds one; undefined if none does. */
export function launchedRank(environment: NodeJS.ProcessEnv): LaunchedRank | undefined {
  for (const name of NAMES) {
    const text = environment[name] ?? '';
    const rank = Number(text);
    // A batch script has a rank, too, but is no step of the job.
    const isMeant = name !== 'SLURM_PROCID' || environment['SLURM_STEP_ID'] !== undefined;
    if (isMeant && /^\d+$/.test(text) && rank <= MAX_RANK) return { rank, name };
  }
  return undefined;
}
