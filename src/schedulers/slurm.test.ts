import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Job } from './job.ts';
import { jobIdOf, readOldJob, readQueue, slurmScript } from './slurm.ts';

const JOB: Job = {
  name: 'first',
  file: { workers: 4 },
  folder: '/home/me/work',
  program: ['/usr/bin/node', '/opt/lockstep/main.js'],
  settings: { text: 'hidden: [64]\n', path: 'experiments/.launched/first.yaml' },
  logPath: '/home/me/work/experiments/.launched/first.log',
  outDir: 'experiments',
};
const WRITER = { version: '0.1.0' };

describe('slurmScript', () => {
  test('has one task on each node run the same command, and goes on without lost nodes', () => {
    const rank = '/usr/bin/node /opt/lockstep/main.js train experiments/.launched/first.yaml';
    const srun = 'srun --no-kill --kill-on-bad-exit=0 --wait=0 --mpi=none';
    assert.equal(
      slurmScript(JOB, WRITER),
      `#!/bin/sh
# Written by lockstep launch --via slurm, version 0.1.0.
#SBATCH --job-name=first
#SBATCH --nodes=4
#SBATCH --ntasks=4
#SBATCH --chdir=/home/me/work
#SBATCH --output=/home/me/work/experiments/.launched/first.log
#SBATCH --open-mode=append
#SBATCH --no-kill
#SBATCH --requeue
# Every rank runs the same command; rank 0 coordinates, and all compute.
exec ${srun} ${rank} --name first --out-dir experiments
`,
    );
  });

  test('has what the file says, and is warned before its time is over', () => {
    const slurm = {
      ...{ nodes: 3, partition: 'main', account: 'physics', time: '1-00:00:00' },
      ...{ cpus_per_task: 8, memory: '8G', options: ['--exclude=n7', '-C haswell'] },
    };
    const script = slurmScript({ ...JOB, file: { workers: 4, slurm } }, WRITER);

    for (const line of [
      ...['--nodes=3', '--ntasks=4', '--ntasks-per-node=2', '--cpus-per-task=8', '--mem=8G'],
      ...['--partition=main', '--account=physics', '--time=1-00:00:00', '--signal=TERM@60'],
      ...['--exclude=n7', '-C haswell'],
    ])
      assert.ok(script.includes(`\n#SBATCH ${line}\n`), line);
    assert.match(script, /^exec srun .* --cpus-per-task=8 /m);
  });

  test('names folders with any characters in them', () => {
    const odd = { ...JOB, folder: '/a "b" $c/100%', outDir: "it's" };
    const script = slurmScript(odd, WRITER);

    assert.ok(script.includes(String.raw`#SBATCH --chdir="/a \"b\" $c/100%%"`), script);
    assert.ok(script.endsWith(`--out-dir 'it'${String.raw`\'`}'s'\n`), script);
  });
});

test('what Slurm says of a job is read, while it is queued and when it is over', () => {
  assert.equal(jobIdOf('123\n'), '123');
  assert.equal(jobIdOf('warning: slow\n123;other\n'), '123');
  assert.equal(jobIdOf('Submitted nothing'), undefined);
  assert.deepEqual(readQueue('RUNNING|n[1-4]\n'), { state: 'RUNNING', where: 'n[1-4]' });
  assert.equal(readQueue(''), undefined);
  assert.deepEqual(readOldJob('JobId=3\n JobState=COMPLETED Reason=None\n ExitCode=0:0\n'), {
    ...{ state: 'COMPLETED', where: 'exit code 0:0' },
  });
  assert.equal(readOldJob('slurm_load_jobs error: Invalid job id specified'), undefined);
});
