/** What can be said of examples/clusters/Dockerfile where no container engine runs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from './cluster/processes.ts';

const manifest = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
};

test('the Dockerfile installs the package that npm run pack makes, and runs its command', () => {
  const text = readFileSync(join(REPOSITORY, 'examples/clusters/Dockerfile'), 'utf8');
  const lines = text.replaceAll(/\\\n\s*/g, '').split('\n');
  const steps = lines.filter((line) => line !== '' && !line.startsWith('#'));
  const step = new Map(
    steps.map((line) => /^([A-Z]+) (.*)$/.exec(line)!.slice(1) as [string, string]),
  );

  assert.deepEqual(
    steps.map((line) => line.split(' ')[0]),
    ['FROM', 'COPY', 'RUN', 'USER', 'WORKDIR', 'ENTRYPOINT', 'CMD'],
  );
  const [pattern = '', ...others] = step.get('COPY')!.split(' ');
  assert.equal(others.length, 1);
  assert.match(
    `${manifest.name}-${manifest.version}.tgz`,
    new RegExp(`^${pattern.replace('*', '.*')}$`),
  );
  assert.ok(step.get('RUN')!.includes(`npm install --global --ignore-scripts /tmp/${pattern}`));
  const least = Number(/\d+/.exec(manifest.engines.node)![0]);
  assert.ok(Number(/^node:(\d+)-/.exec(step.get('FROM')!)![1]) >= least);
  assert.deepEqual(JSON.parse(step.get('ENTRYPOINT')!), Object.keys(manifest.bin));
  assert.equal(step.get('USER'), 'node', 'nothing runs as root');
});
