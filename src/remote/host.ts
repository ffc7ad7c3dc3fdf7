import type { DeviceName } from '../runtime/device.ts';

/** How ssh reaches a machine; what is undefined is left to `~/.ssh/config`. */
export interface SshTarget {
  /** What messages call it. */
  readonly name: string;
  /** What ssh is told: an alias of its configuration, a host name or an address. */
  readonly target: string;
  readonly user?: string | undefined;
  readonly port?: number | undefined;
  /** File of a private key, the only one that is offered then. */
  readonly identity?: string | undefined;
}

/** A machine that a run is launched on, and what it does in it. */
export interface Host extends SshTarget {
  /** Folder on the host for all that we put there; `~/` is the home of its user. */
  readonly workdir: string;
  /** Address in the network that training uses, where it is another than ssh's. */
  readonly address?: string | undefined;
  /** Where this host reaches the coordinator, if not where all others do. */
  readonly join?: string | undefined;
  /** Worker processes; 0 on a host that only coordinates. */
  readonly workers: number;
  /** Compute threads of each worker; undefined: its share of the host's cores. */
  readonly lanes?: number | undefined;
  readonly device: DeviceName;
  /** Where data files lie on the host. */
  readonly dataDir?: string | undefined;
  /** Names of network interfaces by which its workers exchange sums; the fastest if undefined. */
  readonly interface?: string | undefined;
  /** The program of Node.js there, if it is not to be looked for. */
  readonly node?: string | undefined;
}

/** The machines of a run. */
export interface Cluster {
  readonly coordinator: Host;
  /** All hosts, the coordinator's among them, in the order of the file. */
  readonly hosts: readonly Host[];
  /** The address to listen on, if the file says. */
  readonly listen?: string | undefined;
  /** The port to listen on, if the file says. */
  readonly port?: number | undefined;
}

/** One worker process of a run. */
export interface Post {
  readonly host: Host;
  readonly rank: number;
}

/** The workers of these hosts, with ranks in the order of the file. */
export function postsOf(hosts: readonly Host[]): readonly Post[] {
  const places = hosts.flatMap((host) => Array.from({ length: host.workers }, () => host));
  return places.map((host, rank) => ({ host, rank }));
}
