/** Whether one machine reaches a port of another, and if not, at which station it ends. */
import { failure, type Problem } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import { allowCommand } from './remedies.ts';

/** How a connection to a port ended. */
export interface Reach {
  readonly host: string;
  readonly port: number;
  /**
   * `silent`: nothing came back within the deadline. `unreachable`: the network said that there is
   * no way. `forbidden`: this machine's own system does not let the connection out.
   */
  readonly outcome: 'reached' | 'refused' | 'silent' | 'unreachable' | 'forbidden' | 'name unknown';
  /** Of the machine that dials: the address that it used. */
  readonly localAddress?: string | undefined;
  /** Whether another port of the same address answered, be it with a refusal. */
  readonly answersElsewhere?: boolean | undefined;
  /** Whether both machines are in one network, as far as addresses tell. */
  readonly isNeighbour?: boolean | undefined;
}

const MAC_WITH_PERMISSION = 24;

/**
 * Why a machine, of which `from` is known, does not reach another (`to`, `who` in words); undefined
 * when it does, or when it is refused, which only who knows the port can explain.
 */
export function explainReach(
  reach: Reach,
  who: string,
  from: MachineFacts,
  to: MachineFacts = {},
): Problem | undefined {
  const { host, port, outcome, answersElsewhere, isNeighbour } = reach;
  const at = `${host}:${port}`;
  switch (outcome) {
    case 'reached':
    case 'refused':
      return undefined;
    case 'name unknown':
      return failure(
        'name-unknown',
        `${who}: nobody knows the name ${host}`,
        'neither the name server nor /etc/hosts has an address for it',
        `use its address, or on a Mac's network ${host.split('.')[0] ?? host}.local`,
      );
    case 'forbidden':
      return failure(
        'port-blocked',
        `${who}: no connection to ${at} gets out of this machine`,
        'its own firewall forbids it',
        `sudo iptables -I OUTPUT -p tcp -d ${host} --dport ${port} -j ACCEPT`,
      );
    case 'unreachable':
      return isLocalNetworkDenied(reach, from)
        ? localNetworkDenied(who, host)
        : failure(
            'host-unreachable',
            `${who}: there is no way to ${host}`,
            isNeighbour === true
              ? 'it is to be in the same network, and does not answer there: it is off, asleep, ' +
                  'or the access point or switch keeps its devices apart'
              : 'no route leads there: the machines are in different networks',
            routeCommand(from, host),
          );
    case 'silent':
      return answersElsewhere === true
        ? failure(
            'port-blocked',
            `${who}: ${host} answers, but not on port ${port}`,
            'a firewall there, or between, drops what comes for this port',
            `${allowCommand(to, { port })}   # on ${host}`,
          )
        : failure(
            'host-silent',
            `${who}: nothing comes back from ${host}`,
            'it is off or asleep, the address is wrong, or a firewall drops everything',
            routeCommand(from, host),
          );
    default:
      return outcome satisfies never;
  }
}

/**
 * macOS 15 and newer answer a program without the permission for local networks as if there were no
 * way; only neighbours are concerned.
 */
function isLocalNetworkDenied(
  { isNeighbour, answersElsewhere }: Reach,
  { platform, release = '' }: MachineFacts,
): boolean {
  const version = Number(release.split('.')[0]);
  const hasPermission = platform === 'darwin' && version >= MAC_WITH_PERMISSION;
  return hasPermission && isNeighbour === true && answersElsewhere !== true;
}

function localNetworkDenied(who: string, host: string): Problem {
  return failure(
    'local-network-denied',
    `${who}: macOS says that there is no way to ${host}, which is in the same network`,
    'since macOS 15 a terminal needs the permission for local networks, and tmux may lack it',
    'System Settings, Privacy & Security, Local Network: switch your terminal on; or start ' +
      'Lockstep over ssh, which needs none',
  );
}

function routeCommand({ platform }: MachineFacts, host: string): string {
  return platform === 'darwin'
    ? `route -n get ${host}; ping -c 3 ${host}   # put both into one network, or add a route`
    : `ip route get ${host}; ping -c 3 ${host}   # put both into one network, or add a route`;
}
