/**
 * The hosts of SmolCluster's `cluster_config*.yaml`: `server`, `workers` as a list or in a
 * topology, and addresses for all or by host. The rest of such a file is read by `config/`.
 */
import { textOf } from '../config/seed-translation.ts';
import type { YamlEntry, YamlIssue } from '../config/yaml-source.ts';
import { type HostFields, isAddress, isHostName } from './host-keys.ts';

const TOPOLOGIES = ['allToAllTopology', 'pipelineTopology'];
/** Keys that say where workers reach the server, the best first. */
const ADDRESS_KEYS = ['worker_connect_ip', 'server_connect_ip', 'host_ip'];
const EVERY_NETWORK = '0.0.0.0';

interface SeedHosts {
  readonly hosts: readonly HostFields[];
  readonly coordinator: string | undefined;
  readonly listen: string | undefined;
}

/** Reads who is in a cluster of SmolCluster's; what is wrong is added to `issues`. */
export function readSeedHosts(entries: readonly YamlEntry[], issues: YamlIssue[]): SeedHosts {
  const file = new Map(entries.map((entry) => [entry.key, entry]));
  const [start] = entries;
  const lists = [file.get('workers'), ...TOPOLOGIES.map((key) => childOf(file.get(key)))];
  const list = lists.find((entry) => entry !== undefined && typeof entry.value !== 'number');
  const server = file.get('server');
  if (server === undefined || list === undefined) {
    if (start !== undefined)
      issues.push({
        place: start.place,
        message:
          'this file names no hosts: expected `server: mini1` and `workers: [mini2, mini3]` as ' +
          'SmolCluster has them, or `hosts: [mini1, mini2, mini3]`',
      });
    return { hosts: [], coordinator: undefined, listen: undefined };
  }
  const names = [server.value, ...namesIn(list.value)];
  for (const name of names)
    if (!isHostName(name))
      issues.push({
        place: (name === server.value ? server : list).place,
        message: `expected the name of a host, got ${textOf(name)}`,
      });
  return found(names.filter(isHostName), file);
}

function found(
  [server = '', ...workers]: readonly string[],
  file: ReadonlyMap<string, YamlEntry>,
): SeedHosts {
  const addresses = ADDRESS_KEYS.flatMap((key) => file.get(key) ?? []);
  const common = addresses.map(({ value }) => value).find(isUsable);
  const joins = new Map(
    addresses
      .toReversed()
      .flatMap(({ children = [] }) => children)
      .flatMap(({ key, value }) => (isUsable(value) ? [[key, value] as const] : [])),
  );
  const listen = file.get('host_ip')?.value;
  const coordinates = { name: server, address: common, join: joins.get(server) };
  const hosts = workers.map((name) => ({ name, join: joins.get(name) }));
  const isWorker = workers.includes(server);
  return {
    hosts: isWorker
      ? hosts.map((host) => (host.name === server ? { ...host, ...coordinates } : host))
      : [{ ...coordinates, workers: 0 }, ...hosts],
    coordinator: server,
    listen: isAddress(listen) ? listen : undefined,
  };
}

function childOf(entry: YamlEntry | undefined): YamlEntry | undefined {
  return entry?.children?.find(({ key }) => key === 'workers');
}

/** Names in a list, of `{hostname, rank}` too, or in lists by kind. */
function namesIn(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.map(nameOf);
  if (typeof value !== 'object' || value === null) return [value];
  return Object.values(value).flatMap(namesIn);
}

function nameOf(item: unknown): unknown {
  return typeof item === 'object' && item !== null && 'hostname' in item ? item.hostname : item;
}

function isUsable(value: unknown): value is string {
  return isAddress(value) && value !== EVERY_NETWORK;
}
