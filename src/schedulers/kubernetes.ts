/**
 * A training as an Indexed Job of Kubernetes: one pod for each worker, found by a headless Service;
 * settings in a ConfigMap, the token by which pods come in in a Secret.
 */
import { stringify } from 'yaml';
import { ConfigError } from '../base/errors.ts';
import type { Job, Writer } from './job.ts';

/** A document for `kubectl apply`. */
export type Manifest = Readonly<Record<string, unknown>> & {
  readonly kind: string;
  readonly metadata: { readonly name: string };
};

const PORT = 29_500;
const SETTINGS = '/etc/lockstep/settings.yaml';
const RUNS = '/runs';
/** Where a process keeps keys: nowhere but in the memory of its pod. */
const HOME = '/run/lockstep';
const SECRET_KEY = 'token';
/** SIGTERM writes a checkpoint, which may take that long. */
const GRACE_SECONDS = 60;
const RETRIES = 6;
/** Of the user that the image names. */
const USER_ID = 1000;

/** The name that things of a run have, by the rules of Kubernetes: it is a part of host names. */
function kubernetesName(run: string): string {
  const name = run.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-');
  if (/^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$/.test(name)) return name;
  throw new ConfigError(
    '--name: for Kubernetes expected at most 42 letters, digits and "-", with a letter first, ' +
      `got "${run}"`,
  );
}

/** All manifests of a job, in the order in which they are applied. `token` lets its pods in. */
export function kubernetesManifests(job: Job, token: string, writer: Writer): Manifest[] {
  const { kubernetes } = job.file;
  if (kubernetes === undefined)
    throw new ConfigError(
      'launch --via kubernetes: expected a file with `kubernetes: {image: ...}`, got none. ' +
        'docs/clusters.md has one',
    );
  const name = kubernetesName(job.name);
  const { namespace } = kubernetes;
  const labels = { 'app.kubernetes.io/name': 'lockstep', 'app.kubernetes.io/instance': name };
  const metadata = {
    name,
    ...(namespace !== undefined && { namespace }),
    labels,
    annotations: { 'lockstep/version': writer.version },
  };
  const of = (apiVersion: string, kind: string, rest: object): Manifest => ({
    ...{ apiVersion, kind, metadata },
    ...rest,
  });
  return [
    of('v1', 'ConfigMap', { data: { 'settings.yaml': job.settings.text } }),
    of('v1', 'Secret', { type: 'Opaque', stringData: { [SECRET_KEY]: token } }),
    of('v1', 'Service', {
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: { 'job-name': name },
        ports: [{ name: 'lockstep', port: PORT }],
      },
    }),
    of('batch/v1', 'Job', { spec: jobSpec(job, kubernetes, { name, labels }) }),
  ];
}

/** The same as a file for `kubectl apply -f -`. */
export function manifestsText(manifests: readonly Manifest[]): string {
  return manifests.map((one) => `---\n${stringify(one, { lineWidth: 0 })}`).join('');
}

type Kubernetes = NonNullable<Job['file']['kubernetes']>;

function jobSpec(
  job: Job,
  kubernetes: Kubernetes,
  { name, labels }: { readonly name: string; readonly labels: object },
): object {
  const { workers } = job.file;
  return {
    completionMode: 'Indexed',
    completions: workers,
    parallelism: workers,
    // A pod that is lost is made anew, and joins as the same rank; the others go on meanwhile.
    backoffLimitPerIndex: kubernetes.retries ?? RETRIES,
    maxFailedIndexes: 0,
    template: {
      metadata: { labels },
      spec: {
        subdomain: name,
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: GRACE_SECONDS,
        automountServiceAccountToken: false,
        securityContext: {
          ...{ runAsNonRoot: true, runAsUser: USER_ID, fsGroup: USER_ID },
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [container(job, kubernetes, name)],
        volumes: [
          { name: 'settings', configMap: { name } },
          { name: 'home', emptyDir: { medium: 'Memory' } },
          runsVolume(kubernetes),
        ],
      },
    },
  };
}

function runsVolume({ claim }: Kubernetes): object {
  if (claim === undefined) return { name: 'runs', emptyDir: {} };
  return { name: 'runs', persistentVolumeClaim: { claimName: claim } };
}

function container(job: Job, kubernetes: Kubernetes, name: string): object {
  const { image, cpu = '1', memory = '2Gi' } = kubernetes;
  const { program = ['lockstep'], workers } = job.file;
  const place = ['--name', job.name, '--out-dir', RUNS];
  const amounts = { cpu, memory };
  return {
    ...{ name: 'worker', image },
    command: [...program, 'train', SETTINGS, ...place],
    env: [
      // The rank of a pod is JOB_COMPLETION_INDEX, which Kubernetes sets.
      { name: 'WORLD_SIZE', value: String(workers) },
      { name: 'MASTER_ADDR', value: `${name}-0.${name}` },
      { name: 'MASTER_PORT', value: String(PORT) },
      { name: 'LOCKSTEP_HOME', value: HOME },
      { name: 'LOCKSTEP_TOKEN', valueFrom: { secretKeyRef: { name, key: SECRET_KEY } } },
    ],
    ports: [{ name: 'lockstep', containerPort: PORT }],
    resources: { requests: amounts, limits: amounts },
    startupProbe: { exec: { command: probe() }, periodSeconds: 5, failureThreshold: 120 },
    livenessProbe: { exec: { command: probe() }, periodSeconds: 30, failureThreshold: 4 },
    securityContext: {
      ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: false },
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'settings', mountPath: '/etc/lockstep', readOnly: true },
      { name: 'home', mountPath: HOME },
      { name: 'runs', mountPath: RUNS },
    ],
  };
}

/**
 * Whether rank 0 listens, by the table of sockets of its pod: a probe that connects would be a
 * stranger at its door every time. Whether another rank lives is seen to by rank 0.
 */
function probe(): string[] {
  const port = PORT.toString(16).toUpperCase().padStart(4, '0');
  const look = `cat /proc/net/tcp /proc/net/tcp6 | grep -q ":${port} [0-9A-F:]* 0A "`;
  return ['/bin/sh', '-c', `[ "$JOB_COMPLETION_INDEX" != 0 ] || ${look}`];
}

/** How a Job is, in what `kubectl get job -o json` prints. */
export function readKubernetesJob(printed: string): string {
  const { status = {}, spec = {} } = JSON.parse(printed) as {
    readonly status?: {
      readonly active?: number;
      readonly succeeded?: number;
      readonly failed?: number;
      readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    };
    readonly spec?: { readonly completions?: number };
  };
  const { active = 0, succeeded = 0, failed = 0, conditions = [] } = status;
  const ends = conditions.filter((one) => one.status === 'True').map(({ type }) => type);
  const word = ends.at(-1) ?? (active > 0 ? 'Running' : 'Pending');
  return (
    `${word}: ${active} pods active, ${succeeded} of ${spec.completions ?? '?'} done, ` +
    `${failed} failed`
  );
}
