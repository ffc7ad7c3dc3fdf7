/** Which hosts reach each other, and how fast: doors on all, dialled by all others in rounds. */
import * as z from 'zod';
import { HostError } from '../remote/ssh-failures.ts';
import { quoteAll } from '../remote/quote.ts';
import type { Ssh } from '../remote/ssh.ts';
import { linkEndWords } from '../transport/link-end.ts';
import type { MachineFacts } from './checks/machine-facts.ts';
import type { Link, Passage } from './checks/link-checks.ts';
import { outcomeOfCode } from './facts/dial.ts';
import { areNeighbours } from './facts/networks.ts';
import type { Patient } from './remote-host.ts';

/** A host with Node.js, which is all that measuring needs. */
export interface LinkHost {
  readonly patient: Patient;
  readonly facts: MachineFacts;
}

const DOOR_MS = 15_000;
const MAX_ADDRESSES = 6;
const MAX_REPLY_BYTES = 1 << 16;
/** Connecting, knocking and measuring take ten seconds at most at each address. */
const DIAL_MS = 10_000 * MAX_ADDRESSES;
const MAX_ATTEMPTS = 256 * MAX_ADDRESSES;
/** Where machines answer, if they answer at all: ssh, discard, web. */
const KNOCKED_PORTS = [22, 9, 80];

const door = z.object({ port: z.int().min(1).max(65_535), secret: z.string().max(64) });
type OpenDoor = z.infer<typeof door>;

const count = z.number().min(0);
const attempts = z
  .array(
    z.object({
      host: z.string().max(255),
      port: count,
      code: z.string().max(100).optional(),
      answersElsewhere: z.boolean().optional(),
      localAddress: z.string().max(255).optional(),
      roundTripMs: count.optional(),
      megabitsPerSecond: count.optional(),
    }),
  )
  .max(MAX_ATTEMPTS);
type Attempt = z.infer<typeof attempts>[number];

/**
 * Tries each pair in both directions: first all addresses at once, since what is blocked takes its
 * time, then those that answer are measured. In a round every host dials one other, and is dialled
 * by one, so that none shares its link with another measurement in the same direction.
 */
export async function measureLinks(ssh: Ssh, hosts: readonly LinkHost[]): Promise<Link[]> {
  const closing = new AbortController();
  try {
    const opening = hosts.map(async (host) => openDoor(ssh, host, closing.signal));
    const doors = await Promise.all(opening);
    const ends = hosts.flatMap((host, index): End[] => {
      const opened = doors[index];
      return opened === undefined ? [] : [{ host, opened }];
    });
    const links = (await Promise.all(ends.map(async (from) => reachAll(ssh, from, ends)))).flat();
    const measured: Link[] = [];
    for (let distance = 1; distance < ends.length; distance++) {
      const round = ends.map(async (from, index) => {
        const to = ends[(index + distance) % ends.length];
        const link = links.find((one) => isBetween(one, from, to));
        return link === undefined || to === undefined ? [] : [await measure(ssh, link, from, to)];
      });
      measured.push(...(await Promise.all(round)).flat());
    }
    return measured;
  } finally {
    closing.abort();
  }
}

interface End {
  readonly host: LinkHost;
  readonly opened: OpenDoor;
}

function isBetween(link: Link, from: End, to: End | undefined): boolean {
  return link.from === from.host.patient.name && link.to === to?.host.patient.name;
}

/** All links of a host, as far as they can be told without disturbing others. */
async function reachAll(ssh: Ssh, from: End, ends: readonly End[]): Promise<Link[]> {
  const others = ends.filter((end) => end !== from);
  const targets = others.map((to) => ({ to, addresses: addressesOf(to.host) }));
  const doors = targets.flatMap(({ to, addresses }) =>
    addresses.map((host) => ({ host, ...to.opened })),
  );
  const found = await dial(ssh, from.host, doors, false);
  let at = 0;
  return targets.map(({ to: { host }, addresses }) => {
    const own = found?.slice(at, (at += addresses.length)) ?? [];
    const { name, address: dataAddress } = host.patient;
    const passages = own.map((attempt) => passageOf(attempt, from.host.facts));
    return { from: from.host.patient.name, to: name, dataAddress, passages };
  });
}

/** The same link with how fast it is, where it is there at all. */
async function measure(ssh: Ssh, link: Link, from: End, to: End): Promise<Link> {
  const reached = link.passages.filter(({ reach }) => reach.outcome === 'reached');
  const doors = reached.map(({ reach }) => ({ host: reach.host, ...to.opened }));
  const found = doors.length === 0 ? [] : await dial(ssh, from.host, doors, true);
  const passages = link.passages.map((passage) => {
    const attempt = found?.find(({ host }) => host === passage.reach.host);
    return attempt === undefined ? passage : passageOf(attempt, from.host.facts);
  });
  return { ...link, passages };
}

/** Resolves once it is open, or with undefined when it does not open in time. */
async function openDoor(
  ssh: Ssh,
  { patient, facts }: LinkHost,
  closed: AbortSignal,
): Promise<OpenDoor | undefined> {
  const command = quoteAll(linkEndWords(facts.node?.program ?? 'node', 'door'));
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => resolve(undefined), DOOR_MS);
    const give = (opened: OpenDoor | undefined): void => {
      clearTimeout(timer);
      resolve(opened);
    };
    const read = (part: string): void => {
      if (text.length > MAX_REPLY_BYTES) return;
      text += part;
      const line = /^(\{.*\})$/m.exec(text)?.[1];
      if (line !== undefined) give(parsed(door, line));
    };
    ssh.follow(patient, command, closed, read).then(
      () => give(undefined),
      () => give(undefined),
    );
  });
}

/** Undefined when the host did not do it: then nothing is known of its links. */
async function dial(
  ssh: Ssh,
  { patient, facts }: LinkHost,
  doors: readonly (OpenDoor & { readonly host: string })[],
  measured: boolean,
): Promise<readonly Attempt[] | undefined> {
  const command = quoteAll(linkEndWords(facts.node?.program ?? 'node', 'dial'));
  try {
    const { stdout } = await ssh.run(patient, command, {
      stdin: JSON.stringify({ doors, knocked: KNOCKED_PORTS, measured }),
      deadlineMs: DIAL_MS,
    });
    return parsed(attempts, stdout.trim());
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return undefined;
  }
}

/** What the user said comes first, then cables and Wi-Fi; never more than a few. */
function addressesOf({ patient: { address }, facts }: LinkHost): string[] {
  const all = (facts.interfaces ?? [])
    .toSorted((a, b) => Number(a.isVirtual === true) - Number(b.isVirtual === true))
    .flatMap(({ addresses }) => addresses);
  const first = address === undefined ? [] : [address];
  return [...new Set([...first, ...all])].slice(0, MAX_ADDRESSES);
}

function passageOf(attempt: Attempt, from: MachineFacts): Passage {
  const { host, port, code, answersElsewhere, localAddress } = attempt;
  const { roundTripMs, megabitsPerSecond } = attempt;
  const own = (from.interfaces ?? []).flatMap(({ addresses }) => addresses);
  const neighbour = own.find((address) => areNeighbours(address, host));
  return {
    reach: {
      host,
      port,
      // Somebody else who has the same address there is as good as nobody.
      outcome:
        code === undefined ? 'reached' : code === 'stranger' ? 'refused' : outcomeOfCode(code),
      localAddress: localAddress?.replace(/^::ffff:/, '') ?? neighbour,
      answersElsewhere,
      isNeighbour: neighbour !== undefined,
    },
    roundTripMs,
    megabitsPerSecond,
  };
}

function parsed<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined; // A shell that greets, or a Node.js that fails: nothing is known then.
  }
}
