/** What was found on the way from one worker to another: whether there is one, and how wide. */
import { failure, type Finding, good, warning } from './finding.ts';
import type { MachineFacts, Interface } from './machine-facts.ts';
import { interfaceText } from './network-checks.ts';
import { allowCommand } from './remedies.ts';
import { explainReach, type Reach } from './reach.ts';

/** One address of a host, dialled from another. */
export interface Passage {
  readonly reach: Reach;
  /** Median of the round trips. */
  readonly roundTripMs?: number | undefined;
  readonly megabitsPerSecond?: number | undefined;
}

/** All that was tried from one host to another. */
export interface Link {
  readonly from: string;
  readonly to: string;
  /** The address at which workers will reach it, if the user said. */
  readonly dataAddress?: string | undefined;
  readonly passages: readonly Passage[];
}

/** Slower than the slowest cable that is still sold. */
const SLOW_MEGABITS = 90;
/** So much of the others' rate, and a link stands out. */
const SLOW_PART = 0.25;
/** Another address is worth naming when it is so many times as fast. */
const CLEARLY_FASTER = 2;

/** What is to be said of all links together. */
export function checkLinks(
  links: readonly Link[],
  factsOf: (host: string) => MachineFacts,
): Finding[] {
  const rates = links.flatMap((link) => rateOf(best(link)) ?? []);
  const usual = rates.toSorted((a, b) => a - b)[Math.floor(0.75 * rates.length)];
  const judged = links.map((link) => ({ link, findings: checkLink(link, factsOf, usual) }));
  const slowLinks = judged.filter(({ findings }) => findings.some(({ id }) => id === 'link-slow'));
  const isSlowLink = (link: Link): boolean => slowLinks.some((one) => one.link === link);
  const culprits = [...new Set(links.map(({ from }) => from))].filter((host) =>
    isCulprit(host, links, isSlowLink),
  );
  const told = new Set<string>();
  return judged.flatMap(({ link, findings }) => {
    const host = culprits.find((one) => one === link.from || one === link.to);
    if (host === undefined || !isSlowLink(link)) return findings;
    if (told.has(host)) return [];
    told.add(host);
    return findings.map((one) => ({
      ...one,
      host,
      what: `all links of ${host} are slow: ${one.what}`,
    }));
  });
}

/** Whether all links of a host are slow, and some of the others are not. */
function isCulprit(
  host: string,
  links: readonly Link[],
  isSlowLink: (link: Link) => boolean,
): boolean {
  const measured = links.filter((link) => rateOf(best(link)) !== undefined);
  const isOwn = ({ from, to }: Link): boolean => from === host || to === host;
  const [own, others] = [measured.filter(isOwn), measured.filter((link) => !isOwn(link))];
  const isFast = (link: Link): boolean => (rateOf(best(link)) ?? 0) >= SLOW_MEGABITS;
  return own.some(isSlowLink) && !own.some(isFast) && others.some(isFast);
}

function checkLink(
  link: Link,
  factsOf: (host: string) => MachineFacts,
  usual: number | undefined,
): Finding[] {
  const { from, to, dataAddress, passages } = link;
  const chosen = best(link);
  const meant = passages.find(({ reach }) => reach.host === dataAddress);
  const way = `${from} to ${to}`;
  if (chosen === undefined) {
    // What loopback says is of no use while others do not answer either.
    const first = [meant, ...passages].find((one) => one && !isLoopback(one.reach.host)) ?? meant;
    return first === undefined ? [] : [noWay(link, first, factsOf)];
  }
  if (meant !== undefined && meant.reach.outcome !== 'reached')
    return [wrongAddress(link, meant, chosen, factsOf)];
  const used = meant ?? chosen;
  const rate = rateOf(used);
  const measured = `${way} at ${used.reach.host}: ${passageText(used)}`;
  if (rate === undefined) return [good('link', measured)];
  const better = rateOf(chosen);
  if (
    meant !== undefined &&
    better !== undefined &&
    better > CLEARLY_FASTER * rate &&
    isSlow(rate, better)
  )
    return [fasterAddress(link, meant, chosen, factsOf)];
  if (rate >= SLOW_MEGABITS && !isSlow(rate, usual)) return [good('link', measured)];
  return [slow(measured, used, factsOf(from), factsOf(to), usual)];
}

function isSlow(rate: number, usual: number | undefined): boolean {
  return rate < SLOW_MEGABITS || (usual !== undefined && rate < SLOW_PART * usual);
}

/** The fastest of those that are there. */
function best({ passages }: Link): Passage | undefined {
  return passages
    .filter(({ reach }) => reach.outcome === 'reached')
    .toSorted((a, b) => (rateOf(b) ?? 0) - (rateOf(a) ?? 0))[0];
}

function noWay(link: Link, passage: Passage, factsOf: (host: string) => MachineFacts): Finding {
  const { from, to } = link;
  const way = `${from} to ${to}`;
  const target = factsOf(to);
  const { reach } = passage;
  const why = explainReach(reach, way, factsOf(from), target);
  if (why?.id === 'port-blocked' && reach.outcome === 'silent') {
    const source = reach.localAddress ?? from;
    return { ...why, remedy: `${allowCommand(target, { from: source })}   # on ${to}` };
  }
  const goesOn = 'training goes on without, through the coordinator';
  if (why !== undefined) return { ...why, severity: 'warning', cause: `${why.cause}; ${goesOn}` };
  const source = reach.localAddress ?? factsOf(from).interfaces?.[0]?.addresses[0];
  return warning(
    'port-blocked',
    `${way}: ${reach.host} refuses connections to a port at which it listens`,
    `a firewall there refuses them; ${goesOn}`,
    `${allowCommand(target, source === undefined ? {} : { from: source })}   # on ${to}`,
  );
}

function wrongAddress(
  { from, to }: Link,
  meant: Passage,
  chosen: Passage,
  factsOf: (host: string) => MachineFacts,
): Finding {
  const wrong = meant.reach.host;
  return failure(
    'wrong-interface',
    `${from} to ${to}: ${to} is not reached at its data address ${wrong}`,
    `${wrong} is ${placeOf(wrong, to, factsOf(to))}; ${from} reaches it at ${chosen.reach.host} ` +
      `(${passageText(chosen)})`,
    `address: ${chosen.reach.host}   # for ${to} in the hosts file`,
  );
}

function fasterAddress(
  { from, to }: Link,
  meant: Passage,
  chosen: Passage,
  factsOf: (host: string) => MachineFacts,
): Finding {
  const slowOne = meant.reach.host;
  return warning(
    'wrong-interface',
    `${from} to ${to}: ${passageText(meant)} at ${slowOne}, and ${passageText(chosen)} at ` +
      chosen.reach.host,
    `${slowOne} is ${placeOf(slowOne, to, factsOf(to))}`,
    `address: ${chosen.reach.host}   # for ${to} in the hosts file`,
  );
}

function placeOf(address: string, host: string, { interfaces }: MachineFacts): string {
  if (isLoopback(address)) return 'loopback, which is another machine for everybody';
  const own = interfaces?.find(({ addresses }) => addresses.includes(address));
  if (own !== undefined) return `on ${interfaceText(own)} of ${host}`;
  return interfaces === undefined ? `an address of ${host}` : `no address of ${host}`;
}

function slow(
  measured: string,
  { reach }: Passage,
  from: MachineFacts,
  to: MachineFacts,
  usual: number | undefined,
): Finding {
  const ends = [interfaceAt(from, reach.localAddress), interfaceAt(to, reach.host)];
  const wireless = ends.find((one) => one?.isWireless === true);
  const cable = ends.find((one) => (one?.megabitsPerSecond ?? Infinity) <= 100);
  const others = usual === undefined ? '' : `; other links pass ${rateText(usual)}`;
  const [cause, remedy] =
    wireless !== undefined
      ? [`${wireless.name} is Wi-Fi`, 'use a cable, or 5 GHz nearer to the access point']
      : cable !== undefined
        ? [
            `${cable.name} agreed on ${cable.megabitsPerSecond} Mbit/s with the other end`,
            `sudo ethtool ${cable.name}   # try another cable (Cat 5e or better) and port`,
          ]
        : [
            'something between passes no more: a limit, a busy or old switch, a tunnel',
            `iperf3 -c ${reach.host}   # and \`iperf3 -s\` there; --strategy local-sgd sends less`,
          ];
  return warning('link-slow', measured, `${cause}${others}`, remedy);
}

function interfaceAt({ interfaces }: MachineFacts, address = ''): Interface | undefined {
  return interfaces?.find(({ addresses }) => addresses.includes(address));
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address === 'localhost';
}

function rateOf(passage: Passage | undefined): number | undefined {
  return passage?.megabitsPerSecond;
}

function passageText({ roundTripMs, megabitsPerSecond }: Passage): string {
  const trip = roundTripMs === undefined ? [] : [`${roundTripMs.toFixed(1)} ms`];
  const rate = megabitsPerSecond === undefined ? [] : [rateText(megabitsPerSecond)];
  return [...rate, ...trip].join(', ') || 'it answers';
}

function rateText(megabits: number): string {
  if (megabits >= 1_000) return `${(megabits / 1_000).toFixed(1)} Gbit/s`;
  return `${megabits < 10 ? megabits.toFixed(1) : Math.round(megabits)} Mbit/s`;
}
