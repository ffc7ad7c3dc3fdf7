/** The keys of SmolCluster's `cluster_config*.yaml`: who takes part, where, and how they wait. */
import {
  onlyNote,
  readAs,
  refused,
  renamed,
  type SeedRule,
  type SeedRules,
  type SeedSharing,
  type SeedSurroundings,
  type SeedTranslation,
  type Setting,
  settingOf,
  textOf,
  translateNested,
  unused,
} from './seed-translation.ts';
import type { YamlEntry } from './yaml-source.ts';

/** What a list of hosts is called in messages. */
export const HOST_LIST = 'workers (list)';

const addressOfServer: SeedRule = unused(
  'give it to `lockstep worker --join`, or the link that is printed to `lockstep join`',
);

/** Top-level keys of a file that says how the hosts are connected. */
export const CLUSTER_RULES: SeedRules = {
  num_workers: (entry, path, around) =>
    readAs(
      entry,
      path,
      [workerCount(entry.value, path, entry, around)],
      sharingOf(around) === 'server-too'
        ? "read as workers; SmolCluster's server computed too, our coordinator only coordinates"
        : 'read as workers',
    ),
  host_ip: hostAddress,
  syncPS: (entry, path, around) =>
    translateNested(entry.children ?? [], path, { host_ip: hostAddress }, around),
  allToAllTopology: topology,
  pipelineTopology: topology,
  worker_connect_ip: addressOfServer,
  server_connect_ip: addressOfServer,
  server: unused('the coordinator runs where it is started; `lockstep launch` starts it there'),
  timeout: (entry, path) =>
    onlyNote(
      entry,
      path,
      `${textOf(entry.value)} s is not used: exact mode waits for every micro-batch and ` +
        're-issues the work of a stalled worker; nothing is dropped. What it did is ' +
        'strategy parameter-server, mode deadline, gradient_timeout',
    ),
  polyak_alpha: unused(
    "it blended a worker's weights with the server's, from which they had drifted; here all " +
      'workers have the same weights',
  ),
  worker_update_interval: unused('here all workers have the new weights after every step'),
  staleness_bound: unused(
    'no gradient is stale here: all workers are at the same step; with strategy async that is ' +
      'max_staleness',
  ),
  use_quantization: unused('gradients travel as integers, and weights hardly ever'),
  fsdp_stage: unused('here every worker holds the whole state; the result is the same'),
  buffer_size: unused('the operating system sizes the buffers of connections'),
  track_network_metrics: unused('what the exchange takes is always measured'),
  metrics_log_interval: unused('every step is written to metrics.jsonl'),
  num_nodes: unused('here every worker has the whole model'),
  model_name: unused('model says what is trained'),
};

/** How many workers, and how they shared a step with the server. */
function workerCount(
  value: unknown,
  path: string,
  entry: YamlEntry,
  around: SeedSurroundings,
): Setting {
  return { ...settingOf('workers', value, path, entry), sharing: sharingOf(around) };
}

/** `workers` as names or `{hostname, rank}`, perhaps in groups; undefined when it is a number. */
export function translateHosts(
  entry: YamlEntry,
  path: string,
  around: SeedSurroundings,
): SeedTranslation | undefined {
  const hosts = hostsIn(entry.value);
  if (hosts === undefined) return undefined;
  const message =
    `the list of ${hosts} host names is read as a count; ` +
    (around.isForOthers
      ? '`lockstep launch` starts a worker on each'
      : 'that many workers are started on this machine; `lockstep launch` starts them there');
  return readAs(entry, path, [workerCount(hosts, HOST_LIST, entry, around)], message);
}

/** `port` by host name: that of the server, or the default. Undefined when it is a number. */
export function translatePorts(
  entry: YamlEntry,
  path: string,
  around: SeedSurroundings,
): SeedTranslation | undefined {
  const { children } = entry;
  if (children === undefined) return undefined;
  const server = around.file.get('server')?.value;
  const port =
    children.find(({ key }) => key === server) ?? children.find(({ key }) => key === 'default');
  if (port === undefined)
    return refused(entry, path, 'a number, or ports by host with a default among them');
  const { key, value } = port;
  return renamed('port', `read as port ${textOf(value)}, of ${key}`)(
    port,
    `${path}.${key}`,
    around,
  );
}

function sharingOf({ file }: SeedSurroundings): SeedSharing {
  if (file.has('allToAllTopology')) return 'workers';
  return file.has('pipelineTopology') || file.has('num_nodes') ? 'one-batch' : 'server-too';
}

function topology(entry: YamlEntry, path: string, around: SeedSurroundings): SeedTranslation {
  const rule: SeedRule = (child, childPath) =>
    translateHosts(child, childPath, around) ?? refused(child, childPath, 'a list of hosts');
  return translateNested(entry.children ?? [], path, { workers: rule }, around);
}

/** Where SmolCluster's server was: one address, or one for each host to reach it. */
function hostAddress(
  entry: YamlEntry,
  path: string,
  { isForOthers }: SeedSurroundings,
): SeedTranslation {
  const { value, children } = entry;
  if (!isForOthers)
    return onlyNote(
      entry,
      path,
      `${textOf(value)} is not used: train stays on loopback unless --host is given`,
    );
  if (children !== undefined)
    return onlyNote(
      entry,
      path,
      `${textOf(value)} is not used, it says how each host reaches the server: the coordinator ` +
        'stays on loopback unless --lan or --host is given; others then join by the link that ' +
        'it prints',
    );
  const message =
    'read as host: unless --host is given, the coordinator listens on ' +
    `${textOf(value)}. Workers of other machines join by the link that it prints`;
  return readAs(entry, path, [settingOf('host', value, path, entry)], message);
}

/** The number of hosts in a list, or in lists by kind; undefined when it is nothing of that. */
function hostsIn(value: unknown): number | undefined {
  if (Array.isArray(value))
    return value.length > 0 && value.every(isHost) ? value.length : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  const counts = Object.values(value).map(hostsIn);
  if (counts.length === 0) return undefined;
  return counts.reduce(
    (sum, count) => (sum === undefined || count === undefined ? undefined : sum + count),
    0,
  );
}

function isHost(host: unknown): boolean {
  return (
    typeof host === 'string' ||
    (typeof host === 'object' &&
      host !== null &&
      'hostname' in host &&
      typeof host.hostname === 'string')
  );
}
