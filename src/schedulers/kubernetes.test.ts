import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Job as JobKind } from 'kubernetes-models/batch/v1';
import { ConfigMap, Secret, Service } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { problemsOfManifests } from './check-manifests.ts';
import type { Job } from './job.ts';
import {
  kubernetesManifests,
  type Manifest,
  manifestsText,
  readKubernetesJob,
} from './kubernetes.ts';

const JOB: Job = {
  name: 'First.run',
  file: { workers: 3, kubernetes: { image: 'registry.example/lockstep:0.1.0', claim: 'runs' } },
  folder: '/work',
  program: ['node', 'main.js'],
  settings: { text: '# Settings\nhidden: [64]\nworkers: 3\n', path: 'first.yaml' },
  logPath: 'first.log',
  outDir: 'experiments',
};
const TOKEN = 'lk1_worker_x';
const KINDS = { ConfigMap, Secret, Service, Job: JobKind };

const manifests = (): Manifest[] => kubernetesManifests(JOB, TOKEN, { version: '0.1.0' });
/** As a cluster reads them. */
const read = (): Manifest[] =>
  parseAllDocuments(manifestsText(manifests())).map((one) => one.toJS() as Manifest);

/** By the schemas of Kubernetes. */
function validate(manifest: Manifest): void {
  new KINDS[manifest.kind as keyof typeof KINDS](manifest).validate();
}

/** The manifests with the value at a path of one of them replaced. */
function changed(kind: string, path: string, value: unknown): Manifest[] {
  const all = read();
  let at = all.find((one) => one.kind === kind) as unknown as Record<string, unknown>;
  const keys = path.split('.');
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return all;
}

describe('kubernetesManifests', () => {
  test('are what the schemas of Kubernetes allow, and fit each other', () => {
    assert.deepEqual(
      read().map(({ kind }) => kind),
      ['ConfigMap', 'Secret', 'Service', 'Job'],
    );
    for (const manifest of read()) validate(manifest);
    assert.deepEqual(problemsOfManifests(read()), []);
    const [, , , job] = changed('Job', 'spec.parallelism', 'three');
    assert.throws(() => validate(job!), /parallelism/, 'the schemas would tell');
  });

  test('name everything so that it can be a part of a host name', () => {
    assert.ok(read().every(({ metadata }) => metadata.name === 'first-run'));
    const named = (name: string) => () =>
      kubernetesManifests({ ...JOB, name }, TOKEN, { version: '0.1.0' });
    for (const name of ['1st', 'a'.repeat(50), 'first-'])
      assert.throws(named(name), /for Kubernetes expected at most 42 letters/);
  });

  test('have the token in the Secret only, and in no command', () => {
    const holders = read().filter((one) => JSON.stringify(one).includes(TOKEN));

    assert.deepEqual(
      holders.map(({ kind }) => kind),
      ['Secret'],
    );
  });

  test('ask for an image', () => {
    const job = { ...JOB, file: { workers: 3 } };
    const make = (): unknown => kubernetesManifests(job, TOKEN, { version: '0.1.0' });

    assert.throws(make, /expected a file with `kubernetes: \{image: \.\.\.\}`/);
  });
});

describe('problemsOfManifests', () => {
  const pod = 'spec.template.spec';
  const env = `${pod}.containers.0.env`;
  const FAULTS: readonly (readonly [kind: string, path: string, value: unknown, said: RegExp])[] = [
    ['Job', 'spec.backoffLimitPerPod', 3, /nobody reads backoffLimitPerPod/],
    ['Job', `${pod}.hostname`, 'n1', /nobody reads hostname/],
    ['Job', `${pod}.restartPolicy`, 'Always', /restartPolicy must be Never/],
    ['Job', 'spec.completions', 4, /completions \(4\) must be parallelism \(3\)/],
    ['Job', 'spec.completionMode', 'NonIndexed', /completionMode must be Indexed/],
    ['Job', `${pod}.subdomain`, 'other', /subdomain must be the name of the Service/],
    ['Job', `${env}.0.value`, '4', /WORLD_SIZE must be the number of completions/],
    ['Job', `${env}.1.value`, 'first-run-0', /MASTER_ADDR must be first-run-0\.first-run/],
    ['Job', `${env}.2.value`, '29501', /MASTER_PORT, containerPort and the port/],
    ['Job', `${env}.4.value`, TOKEN, /must not stand in the Job/],
    ['Job', `${env}.4.valueFrom.secretKeyRef.key`, 'key', /must come from the Secret/],
    ['Job', `${pod}.volumes.0.name`, 'config', /volumes and volumeMounts/],
    ['Job', `${pod}.volumes.0.configMap.name`, 'config', /the ConfigMap is no volume/],
    ['Service', 'spec.selector', { app: 'first-run' }, /selector must be job-name/],
    ['Service', 'spec.clusterIP', '10.0.0.1', /clusterIP must be None/],
    ['Service', 'spec.publishNotReadyAddresses', false, /publishNotReadyAddresses must be true/],
  ];
  for (const [kind, path, value, said] of FAULTS)
    test(`finds ${path} = ${JSON.stringify(value)} in a ${kind}`, () =>
      assert.match(problemsOfManifests(changed(kind, path, value)).join('\n'), said));

  test('finds what is missing', () => {
    assert.match(problemsOfManifests(read().slice(1))[0]!, /^expected a Job, a Service/);
  });
});

test('readKubernetesJob says how a Job is', () => {
  const said = (status: object): string =>
    readKubernetesJob(JSON.stringify({ spec: { completions: 3 }, status }));
  const ended = [{ type: 'Complete', status: 'True' }];

  assert.equal(said({}), 'Pending: 0 pods active, 0 of 3 done, 0 failed');
  assert.equal(said({ active: 2, failed: 1 }), 'Running: 2 pods active, 0 of 3 done, 1 failed');
  assert.match(said({ succeeded: 3, conditions: ended }), /^Complete: .* 3 of 3 done/);
});
