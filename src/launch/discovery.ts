/**
 * Coordinators announce themselves in their networks by multicast DNS, and are found there. What is
 * announced is a name, a port and the name of the link's token: it gives no right, proves nothing.
 */
import { Bonjour, type Service } from 'bonjour-service';
import { printable } from '../base/printable.ts';
import type { Address } from '../transport/tcp.ts';
import { ownAddresses } from './own-addresses.ts';

const TYPE = 'lockstep';
/** Coordinators that are told of, and networks in which they are looked for. */
const MAX_FOUND = 32;
const MAX_NETWORKS = 8;
const MAX_NAME = 60;
const MAX_ADDRESSES = 8;
/** How long the goodbye of an announcement may take. */
const GOODBYE_MS = 500;

/** What a coordinator tells its networks. */
export interface Announced {
  readonly name: string;
  readonly port: number;
  /** Of the token in the link that it has printed. */
  readonly tokenId: string;
}

/** A coordinator that has announced itself. */
export interface FoundCoordinator {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** What is announced; `close` takes it back. */
export interface Announcement {
  close(): Promise<void>;
}

/**
 * Announces a coordinator in all networks of this machine. What is wrong with one of them is told,
 * once each, and no failure.
 */
export function announce(
  { name, port, tokenId }: Announced,
  onTrouble: (reason: string) => void,
): Announcement {
  // The token's name makes it unlike any other.
  const service = { name: `${name} ${tokenId}`, type: TYPE, port, probe: false };
  const speakers = openAll(onTrouble);
  for (const speaker of speakers) speaker.publish(service);
  return {
    close: async () => {
      await Promise.all(speakers.map(sayGoodbye));
    },
  };
}

/** Finds coordinators that announce themselves within `forMs` in a network of this machine. */
export async function discover(
  forMs: number,
  onTrouble: (reason: string) => void,
): Promise<FoundCoordinator[]> {
  const found = new Map<string, FoundCoordinator>();
  const listeners = openAll(onTrouble);
  for (const listener of listeners)
    listener.find({ type: TYPE }, (service) => {
      if (found.size < MAX_FOUND) found.set(service.name, read(service));
    });
  await new Promise((resolve) => setTimeout(resolve, forMs));
  for (const listener of listeners) listener.destroy();
  return [...found.values()];
}

/** One for each network: by itself the library speaks in that of the default route only. */
function openAll(onTrouble: (reason: string) => void): Bonjour[] {
  const addresses = ownAddresses()
    .filter((host) => !host.includes(':'))
    .slice(0, MAX_NETWORKS);
  if (addresses.length === 0) onTrouble('this machine is in no network');
  return addresses.map((address) => {
    let isTold = false;
    // Bound to its own address it would hear nothing that is said to all.
    const options: object = { interface: address, bind: '0.0.0.0' };
    return new Bonjour(options, (error: Error) => {
      if (!isTold) onTrouble(error.message);
      isTold = true;
    });
  });
}

async function sayGoodbye(speaker: Bonjour): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GOODBYE_MS);
    speaker.unpublishAll(() => {
      clearTimeout(timer);
      resolve();
    });
  });
  speaker.destroy();
}

/** Anybody in the network can announce anything. */
function read({ name, port, addresses = [] }: Service): FoundCoordinator {
  const usable = addresses.filter((host) => !/^fe80/i.test(host)).slice(0, MAX_ADDRESSES);
  return {
    name: printable(name, MAX_NAME),
    addresses: usable.map((host) => ({ host: printable(host, MAX_NAME), port })),
  };
}
