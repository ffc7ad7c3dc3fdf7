/**
 * What a schema does not see in manifests: keys that nobody reads, parts that do not fit each
 * other. Kubernetes itself says nothing of most of that, and the pods never find each other.
 */
import type { Manifest } from './kubernetes.ts';

type Data = Readonly<Record<string, unknown>>;

/** The keys that our manifests may have, by where they stand. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  ConfigMap: ['apiVersion', 'kind', 'metadata', 'data'],
  Secret: ['apiVersion', 'kind', 'metadata', 'type', 'stringData'],
  Service: ['apiVersion', 'kind', 'metadata', 'spec'],
  Job: ['apiVersion', 'kind', 'metadata', 'spec'],
  metadata: ['name', 'namespace', 'labels', 'annotations'],
  'Service.spec': ['clusterIP', 'publishNotReadyAddresses', 'selector', 'ports'],
  'Job.spec': [
    ...['completionMode', 'completions', 'parallelism', 'backoffLimitPerIndex'],
    ...['maxFailedIndexes', 'template'],
  ],
  pod: [
    ...['subdomain', 'restartPolicy', 'terminationGracePeriodSeconds', 'securityContext'],
    ...['automountServiceAccountToken', 'containers', 'volumes'],
  ],
  container: [
    ...['name', 'image', 'command', 'env', 'ports', 'resources', 'startupProbe', 'livenessProbe'],
    ...['securityContext', 'volumeMounts'],
  ],
};

/** What is wrong with manifests, a line each; none if they make a job. */
export function problemsOfManifests(manifests: readonly Manifest[]): string[] {
  const byKind = new Map(manifests.map((one) => [one.kind, one]));
  const [job, service, secret, settings] = ['Job', 'Service', 'Secret', 'ConfigMap'].map((kind) =>
    byKind.get(kind),
  );
  if (!job || !service || !secret || !settings)
    return [
      `expected a Job, a Service, a Secret and a ConfigMap, got ${[...byKind.keys()].join()}`,
    ];
  const spec = dataAt(job, 'spec');
  const template = dataAt(spec, 'template');
  const pod = dataAt(template, 'spec');
  const [container = {}] = listAt(pod, 'containers');
  return [
    ...manifests.flatMap((one) => unknownKeys(one, one.kind)),
    ...manifests.flatMap((one) => unknownKeys(one.metadata, 'metadata')),
    ...unknownKeys(dataAt(service, 'spec'), 'Service.spec'),
    ...unknownKeys(spec, 'Job.spec'),
    ...unknownKeys(pod, 'pod'),
    ...unknownKeys(container, 'container'),
    ...problemsOfJob(spec, pod),
    ...problemsOfPlaces(job, service, pod, container),
    ...problemsOfGivens(secret, settings, pod, container, spec),
  ];
}

function problemsOfJob(spec: Data, pod: Data): string[] {
  const { completionMode, completions, parallelism } = spec;
  return [
    ...unless(completionMode === 'Indexed', 'Job: completionMode must be Indexed: it gives ranks'),
    ...unless(
      Number.isInteger(completions) && completions === parallelism,
      `Job: completions (${String(completions)}) must be parallelism (${String(parallelism)}): all ` +
        'ranks run at once',
    ),
    ...unless(
      pod['restartPolicy'] === 'Never',
      'Job: restartPolicy must be Never for backoffLimitPerIndex, got ' +
        String(pod['restartPolicy']),
    ),
  ];
}

/** Where pods look for rank 0 is where it is. */
function problemsOfPlaces(job: Data, service: Data, pod: Data, container: Data): string[] {
  const name = String(dataAt(job, 'metadata')['name']);
  const host = String(dataAt(service, 'metadata')['name']);
  const spec = dataAt(service, 'spec');
  const [port = {}] = listAt(spec, 'ports');
  const [own = {}] = listAt(container, 'ports');
  return [
    ...unless(
      dataAt(spec, 'selector')['job-name'] === name,
      `Service: its selector must be job-name: ${name}`,
    ),
    ...unless(
      spec['clusterIP'] === 'None',
      'Service: clusterIP must be None, so that pods have names',
    ),
    ...unless(
      spec['publishNotReadyAddresses'] === true,
      'Service: publishNotReadyAddresses must be true: pods look for rank 0 before it is ready',
    ),
    ...unless(pod['subdomain'] === host, `Job: subdomain must be the name of the Service, ${host}`),
    ...unless(
      valueOf(container, 'MASTER_ADDR') === `${name}-0.${host}`,
      `Job: MASTER_ADDR must be ${name}-0.${host}`,
    ),
    ...unless(
      port['port'] === own['containerPort'] &&
        valueOf(container, 'MASTER_PORT') === String(port['port']),
      'Job: MASTER_PORT, containerPort and the port of the Service must be the same',
    ),
  ];
}

/** What a pod is given is there. */
function problemsOfGivens(
  secret: Data,
  settings: Data,
  pod: Data,
  container: Data,
  spec: Data,
): string[] {
  const token = listAt(container, 'env').find(({ name }) => name === 'LOCKSTEP_TOKEN') ?? {};
  const wanted = dataAt(dataAt(token, 'valueFrom'), 'secretKeyRef');
  const volumes = listAt(pod, 'volumes');
  const mounted = listAt(container, 'volumeMounts').map(({ name }) => name);
  const maps = volumes.map((volume) => dataAt(volume, 'configMap')['name']);
  return [
    ...unless(
      wanted['name'] === dataAt(secret, 'metadata')['name'] &&
        Object.hasOwn(dataAt(secret, 'stringData'), String(wanted['key'])),
      'Job: LOCKSTEP_TOKEN must come from the Secret',
    ),
    ...unless(
      token['value'] === undefined,
      'Job: LOCKSTEP_TOKEN must not stand in the Job, which more people may read than the Secret',
    ),
    ...unless(
      maps.includes(dataAt(settings, 'metadata')['name']),
      'Job: the ConfigMap is no volume',
    ),
    ...unless(
      volumes.every(({ name }) => mounted.includes(name)) && volumes.length === mounted.length,
      'Job: volumes and volumeMounts must have the same names',
    ),
    ...unless(
      valueOf(container, 'WORLD_SIZE') === String(spec['completions']),
      'Job: WORLD_SIZE must be the number of completions',
    ),
  ];
}

function unknownKeys(data: Data, place: string): string[] {
  const known = KEYS[place] ?? [];
  return Object.keys(data)
    .filter((key) => !known.includes(key))
    .map((key) => `${place}: nobody reads ${key}`);
}

function unless(isRight: boolean, problem: string): string[] {
  return isRight ? [] : [problem];
}

function dataAt(data: Data, key: string): Data {
  const value = data[key];
  return typeof value === 'object' && value !== null ? (value as Data) : {};
}

function listAt(data: Data, key: string): readonly Data[] {
  const value = data[key];
  return Array.isArray(value) ? (value as readonly Data[]) : [];
}

function valueOf(container: Data, name: string): unknown {
  return listAt(container, 'env').find((one) => one['name'] === name)?.['value'];
}
