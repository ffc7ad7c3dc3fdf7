/** The networks that this machine is in, and what keeps others out. */
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { MachineFacts, Interface } from '../checks/machine-facts.ts';
import { outputOf } from './run-program.ts';

/** Names of what containers, virtual machines and tunnels make. */
const VIRTUAL =
  /^(docker|podman|lxc|cni|flannel|cali|br-|veth|virbr|vmnet|vboxnet|u?tun|tap|wg|zt|tailscale)/;
/** Addresses that mean nothing without the name of a network. */
const LINK_LOCAL = /^(fe[89ab]|169\.254\.)/i;

/** Interfaces that have an address; loopback is left out. */
export function gatherInterfaces(): Interface[] {
  return Object.entries(networkInterfaces()).flatMap(([name, all = []]) => {
    const addresses = all
      .filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address))
      .map(({ address }) => address);
    return addresses.length === 0 ? [] : [describe(name, addresses)];
  });
}

function describe(name: string, addresses: string[]): Interface {
  const folder = `/sys/class/net/${name}`;
  const speed = Number(readIfThere(`${folder}/speed`));
  return {
    name,
    addresses,
    ...(existsSync(`${folder}/wireless`) && { isWireless: true }),
    ...(isVirtualName(name) && { isVirtual: true }),
    // Some drivers say -1, or 10000 of what is no cable.
    ...(speed > 0 && !isVirtualName(name) && { megabitsPerSecond: speed }),
  };
}

/** Whether an interface of this name is one of containers, virtual machines or tunnels. */
export function isVirtualName(name: string): boolean {
  return VIRTUAL.test(name);
}

/** Whether two addresses are in one network, as far as IPv4 networks of 254 machines go. */
export function areNeighbours(one: string, other: string): boolean {
  const networkOf = (address: string): string => address.split('.').slice(0, 3).join('.');
  return one.includes('.') && networkOf(one) === networkOf(other);
}

/** The firewall that is on. */
export async function gatherFirewall(): Promise<MachineFacts['firewall']> {
  if (process.platform === 'darwin') {
    const program = '/usr/libexec/ApplicationFirewall/socketfilterfw';
    const state = await outputOf(program, ['--getglobalstate']);
    return state === undefined ? undefined : state.includes('enabled') ? 'macos' : null;
  }
  if (process.platform !== 'linux') return undefined;
  if (/^ENABLED=yes/m.test(readIfThere('/etc/ufw/ufw.conf'))) return 'ufw';
  const state = await outputOf('firewall-cmd', ['--state']);
  return state?.trim() === 'running' ? 'firewalld' : undefined;
}

/** The chains of nftables that packets for this machine go through; only root is told. */
export async function gatherInputChains(): Promise<string[] | undefined> {
  if (process.platform !== 'linux') return undefined;
  const text = await outputOf('nft', ['list', 'chains']);
  return text === undefined ? undefined : parseInputChains(text);
}

/** `inet filter input` for a chain with that hook in what `nft list chains` prints. */
export function parseInputChains(text: string): string[] {
  const chains: string[] = [];
  let table = '';
  let chain = '';
  for (const line of text.split('\n')) {
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (/hook input/.test(line)) chains.push(`${table} ${chain}`);
  }
  return chains;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // Not every interface has a speed, nor every system such files.
  }
}
