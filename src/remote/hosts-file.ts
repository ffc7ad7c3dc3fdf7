/** The file that says which hosts there are: our own `hosts.yaml`, or SmolCluster's. */
import { ConfigError } from '../base/errors.ts';
import { textOf } from '../config/seed-translation.ts';
import {
  type ConfigPlace,
  type ConfigSource,
  readYaml,
  type YamlEntry,
  type YamlIssue,
} from '../config/yaml-source.ts';
import type { Cluster, Host } from './host.ts';
import { DEFAULT_KEYS, type HostFields, isAddress, isHostName, readHostKey } from './host-keys.ts';
import { readSeedHosts } from './seed-hosts.ts';

const MOST_HOSTS = 256;
const MOST_WORKERS = 256;
const MOST_ISSUES = 10;
const DEFAULTS = { workdir: '~/lockstep', workers: 1, device: 'cpu' } as const;

/** What a hosts file was read as. */
export interface ParsedHosts {
  readonly cluster: Cluster;
  /** SmolCluster's file has settings of the training, too. */
  readonly isSeedFile: boolean;
}

/** What a reader of one kind of file found. */
interface FoundHosts {
  readonly hosts: readonly HostFields[];
  readonly coordinator: string | undefined;
  readonly listen?: string | undefined;
  readonly port?: number | undefined;
}

/** Whether a file names hosts, in our way or in SmolCluster's. */
export function namesHosts(source: ConfigSource): boolean {
  return readYaml(source).entries.some(
    ({ key, value }) => key === 'hosts' || (key === 'server' && typeof value === 'string'),
  );
}

/**
 * Reads the hosts of a run. Throws: ConfigError with what is wrong, a line each, naming file, line
 * and column: unknown keys, names given twice, text that no host name or path can be.
 */
export function parseHosts(source: ConfigSource): ParsedHosts {
  const { entries, issues: found } = readYaml(source);
  const issues = [...found];
  if (/(?:^|[\s[{,:-])[&*][^\s,\]}]/m.test(withoutTexts(source.text)))
    refuse(issues, source, 'anchors and aliases (&name, *name) have no place here: write it out');
  throwIfAny(issues);
  const isSeedFile = !entries.some(({ key }) => key === 'hosts');
  const hosts = isSeedFile ? readSeedHosts(entries, issues) : readOwnHosts(entries, issues);
  if (hosts.hosts.length === 0 && issues.length === 0)
    refuse(
      issues,
      source,
      'expected hosts, got none. Write `hosts: [mini1, mini2]`; the first one coordinates',
    );
  const cluster = issues.length === 0 ? clusterOf(hosts, source, issues) : undefined;
  throwIfAny(issues);
  if (cluster === undefined) throw new ConfigError(`${source.file}: no hosts`);
  return { cluster, isSeedFile };
}

function clusterOf(
  { hosts: all, coordinator: named, listen, port }: FoundHosts,
  source: ConfigSource,
  issues: YamlIssue[],
): Cluster | undefined {
  const names = all.map(({ name }) => name ?? '');
  for (const name of new Set(names.filter((one, i) => names.indexOf(one) !== i)))
    refuse(issues, source, `the host ${name} is there twice: give it several \`workers\` instead`);
  const hosts = all.map(hostOf);
  const coordinator =
    hosts.find(({ name }) => name === (named ?? names[0])) ??
    hostOf({ ...all[0], name: named ?? '', target: named ?? '', workers: 0, address: undefined });
  if (hosts.length > MOST_HOSTS)
    refuse(issues, source, `expected at most ${MOST_HOSTS} hosts, got ${hosts.length}`);
  const workers = hosts.reduce((sum, host) => sum + host.workers, 0);
  if (workers < 1 || workers > MOST_WORKERS)
    refuse(issues, source, `expected 1 to ${MOST_WORKERS} workers on all hosts, got ${workers}`);
  if (issues.length > 0) return undefined;
  const isAmong = hosts.includes(coordinator);
  return { coordinator, hosts: isAmong ? hosts : [coordinator, ...hosts], listen, port };
}

function hostOf(fields: HostFields): Host {
  const name = fields.name ?? '';
  return { ...DEFAULTS, ...fields, name, target: fields.target ?? name };
}

function readOwnHosts(entries: readonly YamlEntry[], issues: YamlIssue[]): FoundHosts {
  const defaults: HostFields = {};
  let coordinator: string | undefined;
  let listen: string | undefined;
  let port: number | undefined;
  let hosts: readonly HostFields[] = [];
  for (const entry of entries) {
    const { key, value } = entry;
    if (key === 'hosts') hosts = readList(entry, issues);
    else if (key === 'coordinator' && isHostName(value)) coordinator = value;
    else if (key === 'listen' && isAddress(value)) listen = value;
    else if (key === 'port' && isPort(value)) port = value;
    else if (DEFAULT_KEYS.includes(key)) readHostKey(entry, key, defaults, issues);
    else issues.push({ place: entry.place, message: problemOf(entry) });
  }
  return { hosts: hosts.map((host) => ({ ...defaults, ...host })), coordinator, listen, port };
}

const TOP_KEYS: Readonly<Record<string, string>> = {
  coordinator: 'the name of a host',
  listen: 'an address',
  port: 'a port from 1 to 65535',
};

function problemOf({ key, value }: YamlEntry): string {
  const expected = Object.hasOwn(TOP_KEYS, key) ? TOP_KEYS[key] : undefined;
  if (expected !== undefined) return `${key}: expected ${expected}, got ${textOf(value)}`;
  const known = ['hosts', ...Object.keys(TOP_KEYS), ...DEFAULT_KEYS].join(', ');
  return (
    `unknown key "${key}". Known: ${known}; settings of the training stand in a file of ` +
    'their own, given after this one'
  );
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535;
}

/** Hosts as names, or as mappings with a name. */
function readList({ value, place }: YamlEntry, issues: YamlIssue[]): HostFields[] {
  if (!Array.isArray(value)) {
    issues.push({ place, message: `hosts: expected a list of hosts, got ${textOf(value)}` });
    return [];
  }
  return value.map((item: unknown, index) => readHost(item, `hosts[${index}]`, place, issues));
}

function readHost(
  item: unknown,
  path: string,
  place: ConfigPlace,
  issues: YamlIssue[],
): HostFields {
  const fields: HostFields = {};
  const given = typeof item === 'string' ? { name: item } : item;
  if (typeof given !== 'object' || given === null || Array.isArray(given) || !('name' in given)) {
    const got = textOf(item);
    issues.push({ place, message: `${path}: expected a name, or keys with a name, got ${got}` });
    return fields;
  }
  for (const [key, value] of Object.entries(given)) {
    const entry: YamlEntry = { key, value, children: undefined, place };
    readHostKey(entry, `${path}.${key}`, fields, issues);
  }
  return fields;
}

/** YAML without comments and quoted texts, in which & and * would mean nothing. */
function withoutTexts(text: string): string {
  return text.replaceAll(/"(?:\\.|[^"\\])*"|'(?:''|[^'])*'|(?<=^|\s)#.*$/gm, '""');
}

function refuse(issues: YamlIssue[], { file }: ConfigSource, message: string): void {
  issues.push({ place: { file, line: 1, column: 1 }, message });
}

function throwIfAny(issues: readonly YamlIssue[]): void {
  if (issues.length === 0) return;
  const lines = issues
    .slice(0, MOST_ISSUES)
    .map(({ place: { file, line, column }, message }) => `${file}:${line}:${column} ${message}`);
  const others = issues.length - lines.length;
  throw new ConfigError(others > 0 ? [...lines, `... and ${others} more`] : lines);
}
