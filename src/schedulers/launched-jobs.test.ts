import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { jobFolder, readJob, recordJob } from './launched-jobs.ts';
import { outputOf, runProgram } from './programs.ts';

describe('launched jobs', () => {
  let outDir = '';
  before(() => (outDir = mkdtempSync(join(tmpdir(), 'lockstep-jobs-'))));
  after(() => rmSync(outDir, { recursive: true }));
  const job = (name: string) => ({ via: 'slurm', name, job: '7', logPath: '/log' }) as const;

  test('are found by name, or the last one', () => {
    for (const name of ['first', 'second']) recordJob(outDir, job(name));
    utimesSync(join(jobFolder(outDir), 'first.json'), new Date(0), new Date(0));

    assert.equal(readJob(outDir, 'first').name, 'first');
    assert.equal(readJob(outDir).name, 'second');
  });

  test('are told of when there is none, or it is of another version, or damaged', () => {
    const path = join(jobFolder(outDir), 'third.json');
    const reading = (text: string) => () => {
      writeFileSync(path, text);
      readJob(outDir, 'third');
    };

    assert.throws(() => readJob(outDir, 'none'), /none: no job was launched from here/);
    assert.throws(() => readJob(join(outDir, 'x')), /launch: no job was launched from here/);
    assert.throws(
      reading(JSON.stringify({ ...job('third'), version: 2 })),
      /expected version 1 of a launched job, got 2: .* another version of Lockstep/,
    );
    assert.throws(reading('{'), /cannot be read/);
  });
});

describe('programs of schedulers', () => {
  test('that are missing are told of with what to install', async () => {
    const { PATH } = process.env;
    process.env['PATH'] = '/nowhere';
    try {
      for (const [program, remedy] of [
        ['sbatch', /Debian: slurm-client/],
        ['mpirun', /Open MPI \(Debian: openmpi-bin\) or MPICH/],
        ['kubectl', /--dry-run/],
      ] as const)
        await assert.rejects(runProgram([program]), { code: 'CONFIG_INVALID', message: remedy });
    } finally {
      process.env['PATH'] = PATH;
    }
  });

  test('get what is for them, and are quoted when they fail', async () => {
    assert.equal(await outputOf(['/bin/sh', '-c', 'cat'], 'words'), 'words');
    await assert.rejects(outputOf(['/bin/sh', '-c', 'echo no quota >&2; exit 3']), {
      code: 'HOST_FAILED',
      message: '/bin/sh -c: ended with exit code 3:\nno quota',
    });
  });
});
