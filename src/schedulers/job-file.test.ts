import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isJobFile, parseJobFile } from './job-file.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples/clusters');
const sourceOf = (text: string) => ({ file: 'job.yaml', text });

describe('parseJobFile', () => {
  for (const name of ['slurm.yaml', 'kubernetes.yaml'])
    test(`reads examples/clusters/${name}`, () => {
      const source = sourceOf(readFileSync(join(EXAMPLES, name), 'utf8'));

      assert.ok(isJobFile(source));
      assert.equal(parseJobFile(source).workers, 4);
    });

  const WRONG: readonly (readonly [text: string, message: RegExp])[] = [
    ['version: 2\nworkers: 4', /expected version 1 of a job file, got 2. .* another version/],
    ['workers: 0', /^job\.yaml:1 workers: /],
    ['slurm: {}', /workers: Invalid input: expected number, received undefined/],
    ['workers: 4\nslurm:\n  nodes: many', /^job\.yaml:2 slurm\.nodes: /],
    ['workers: 4\nslurm: {queue: main}', /slurm: Unrecognized key: "queue"/],
    ['workers: 4\nslurm: {partition: "a\\n#SBATCH b"}', /slurm\.partition: /],
    ['workers: 4\nslurm: {options: ["rm -rf"]}', /slurm\.options\.0: /],
    ['workers: 4\nkubernetes: {}', /kubernetes\.image: /],
    ['workers: [', /^job\.yaml:\d+ /],
  ];
  for (const [text, message] of WRONG)
    test(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseJobFile(sourceOf(text)), { code: 'CONFIG_INVALID', message }));
});

test('a file of settings or of hosts is no job file', () => {
  for (const text of ['workers: 4', 'hosts: [mini1]', ''])
    assert.equal(isJobFile(sourceOf(text)), false);
});
