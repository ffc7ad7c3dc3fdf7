/** The keys of a host in `hosts.yaml`, and what may stand in them: their text goes to shells. */
import { textOf } from '../config/seed-translation.ts';
import type { YamlEntry, YamlIssue } from '../config/yaml-source.ts';
import { DEVICE_NAMES, type DeviceName } from '../runtime/device.ts';
import type { Host } from './host.ts';

/** What keys of a host may give; nothing is required here. */
export type HostFields = { -readonly [Key in keyof Host]?: Host[Key] } & {
  user?: string;
  target?: string;
};

interface KeyRule {
  readonly field: keyof Host;
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const MOST_WORKERS = 256;
const MAX_TEXT = 1024;

const matching =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && value.length <= MAX_TEXT && pattern.test(value);
const wholeTo =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && Number(value) >= least && Number(value) <= most;

/** Names of hosts begin with no dash: ssh would take them for options. */
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u;
const TARGET = /^[A-Za-z0-9_][A-Za-z0-9._@:%-]{0,254}$/;
const ADDRESS = /^[A-Za-z0-9:][A-Za-z0-9.:%-]{0,254}$/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._@\\-]{0,63}$/;
/** A path without control characters: some shells end a word at a line break whatever is quoted. */
const PATH = /^(?:~\/|\/)[^\p{Cc}]*$/u;
const INTERFACES = /^[A-Za-z0-9][A-Za-z0-9._@:-]*(?:,[A-Za-z0-9][A-Za-z0-9._@:-]*)*$/;
const LOCAL_PATH = /^[^\p{Cc}-][^\p{Cc}]*$/u;

/** Keys of a host. Those of `DEFAULT_KEYS` may also stand at the top, for all hosts. */
const HOST_RULES: Readonly<Record<string, KeyRule>> = {
  name: {
    field: 'name',
    expected: 'a name: letters, digits, dots, dashes, at most 63',
    accepts: matching(NAME),
  },
  ssh: {
    field: 'target',
    expected: 'a host name, an address or an alias of ~/.ssh/config',
    accepts: matching(TARGET),
  },
  user: { field: 'user', expected: 'the name of a user', accepts: matching(USER) },
  ssh_port: { field: 'port', expected: 'a port from 1 to 65535', accepts: wholeTo(1, 65_535) },
  identity: {
    field: 'identity',
    expected: 'the path of a private key',
    accepts: matching(LOCAL_PATH),
  },
  workdir: {
    field: 'workdir',
    expected: 'a folder on the host that begins with / or ~/',
    accepts: matching(PATH),
  },
  address: {
    field: 'address',
    expected: 'a host name or an IP address',
    accepts: matching(ADDRESS),
  },
  join: { field: 'join', expected: 'a host name or an IP address', accepts: matching(ADDRESS) },
  workers: {
    field: 'workers',
    expected: `a whole number 0 to ${MOST_WORKERS}`,
    accepts: wholeTo(0, MOST_WORKERS),
  },
  lanes: { field: 'lanes', expected: 'a whole number 1 to 1024', accepts: wholeTo(1, 1024) },
  device: {
    field: 'device',
    expected: DEVICE_NAMES.join(' or '),
    accepts: (value) => DEVICE_NAMES.includes(value as DeviceName),
  },
  data_dir: {
    field: 'dataDir',
    expected: 'a folder on the host that begins with / or ~/',
    accepts: matching(PATH),
  },
  interface: {
    field: 'interface',
    expected: 'names of network interfaces, with commas between',
    accepts: matching(INTERFACES),
  },
  node: {
    field: 'node',
    expected: 'the path of a program on the host that begins with / or ~/',
    accepts: matching(PATH),
  },
};

/** Keys that may stand at the top, for all hosts that do not have them. */
export const DEFAULT_KEYS: readonly string[] = [
  'user',
  'ssh_port',
  'identity',
  'workdir',
  'workers',
  'lanes',
  'device',
  'data_dir',
  'interface',
  'node',
];

/** Reads one key of a host into `fields`; what is wrong with it is added to `issues`. */
export function readHostKey(
  { key, value, place }: YamlEntry,
  path: string,
  fields: HostFields,
  issues: YamlIssue[],
): void {
  const rule = Object.hasOwn(HOST_RULES, key) ? HOST_RULES[key] : undefined;
  if (rule === undefined) {
    const known = Object.keys(HOST_RULES).join(', ');
    issues.push({ place, message: `${path}: unknown key "${key}". Known: ${known}` });
  } else if (rule.accepts(value)) Object.assign(fields, { [rule.field]: value });
  else {
    const got = textOf(value);
    issues.push({ place, message: `${path}: expected ${rule.expected}, got ${got}` });
  }
}

/** Whether a text may be the name of a host. */
export const isHostName: (value: unknown) => value is string = (value): value is string =>
  matching(NAME)(value);

/** Whether a text may be an address that is dialled. */
export const isAddress: (value: unknown) => value is string = (value): value is string =>
  matching(ADDRESS)(value);
