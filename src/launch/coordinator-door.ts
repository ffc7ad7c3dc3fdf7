/**
 * The door of a run: on this machine open to its own programs, in a network to those with a key.
 * Whoever comes with a token trades it for a credential; who has one goes in.
 */
import { hostname } from 'node:os';
import { Approvals, type Approver } from '../access/approvals.ts';
import { AccessStore, MAX_USES } from '../access/access-store.ts';
import { accessFolder as usualFolder } from '../access/home.ts';
import { type JoinLink, joinLinkText } from '../access/join-link.ts';
import { writeSecretText } from '../access/secret-file.ts';
import type { Token } from '../access/token.ts';
import { serveTrade, type TradeOptions } from '../access/trade.ts';
import { systemClock } from '../base/clock.ts';
import { ConfigError, messageOf } from '../base/errors.ts';
import { wantsKey } from '../config/cluster-settings.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { Coordinator } from '../coordinator/coordinator.ts';
import type { RunEvent } from '../metrics/events.ts';
import { crowdedOut } from '../membership/places.ts';
import { refuseConnection } from '../protocol/greeting.ts';
import type { Connection } from '../transport/connection.ts';
import { isEveryAddress, isLoopback, isPrivate } from '../transport/loopback.ts';
import type { SecuredDoor } from '../transport/secured-door.ts';
import { type Address, listen } from '../transport/tcp.ts';
import { type Announcement, announce } from './discovery.ts';
import { ownAddresses } from './own-addresses.ts';
import { RevocationWatch } from './revocation-watch.ts';
import { Strangers } from './strangers.ts';

/** How long the link of a run lets newcomers in, and how many at least. */
const LINK_LIFETIME_MS = 24 * 3_600_000;
const LINK_USES = 64;
/** A worker that lost its credential, with its machine or its disk, trades the link again. */
const USES_PER_WORKER = 2;

/** Of a credential that came of another link, or of a run without --approve. */
const UNAPPROVED =
  'a person must let in every worker of this run, and has not let in this one: join by the link ' +
  'that the run has printed';

/** What a door is opened for, and who hears of it. */
export interface CoordinatorDoorOptions {
  readonly config: TrainConfig;
  /** Where tokens and credentials are kept; the user's if absent. */
  readonly accessFolder?: string;
  /** Made elsewhere, for this run; without it a fresh one is made. */
  readonly token?: Token | undefined;
  /** Lets newcomers in where the settings ask for a person; undefined: there is none. */
  readonly approver?: Approver | undefined;
  readonly onNote: (note: string) => void;
}

/** What a door knows of the coordinator behind it. */
type Leader = Pick<Coordinator, 'accept' | 'identities' | 'expel'>;

/** An open door. */
export interface CoordinatorDoor {
  readonly address: Address;
  /** What workers of other machines join by; undefined: nobody can. */
  readonly link: string | undefined;
  /**
   * Connections go to `coordinator` from now on, those that have waited too, and the person is
   * asked about newcomers. `tell` hears of these, and of those who are not let in.
   */
  readonly lead: (coordinator: Leader, tell: (event: RunEvent) => void) => void;
  readonly close: () => Promise<void>;
}

/** Opens the door. Throws: ConfigError, PeerLostError, FILE_FAILED. */
export async function openCoordinatorDoor(
  options: CoordinatorDoorOptions,
): Promise<CoordinatorDoor> {
  const { config, accessFolder = usualFolder(process.env), onNote } = options;
  checkExposure(config);
  const approvals = approvalsOf(options);
  const isKeyed = wantsKey(config);
  const store = new AccessStore(accessFolder);
  let tellRun: ((event: RunEvent) => void) | undefined;
  const strangers = new Strangers(systemClock, (peer, reason) =>
    tellRun === undefined
      ? onNote(`${peer} was refused: ${reason}`)
      : tellRun({ kind: 'worker-refused', peer, reason }),
  );
  const waitingRoom = new WaitingRoom((connection) => {
    const problem = problemWith(store, connection.identity, config);
    if (problem !== undefined) strangers.note(connection.peer, problem);
    return problem;
  });
  const watch = new RevocationWatch(systemClock, store, onNote);
  const listener = await listen(
    { host: config.host, port: config.port },
    (connection) => {
      const { identity } = connection;
      if (identity?.startsWith('join:') !== true) waitingRoom.take(connection);
      else {
        const way = { store, joinIdentity: identity, approvals };
        serveNewcomer(connection, way, strangers, onNote);
      }
    },
    {
      onAcceptFailed: (error) => onNote(`a connection was not accepted: ${error.message}`),
      ...(isKeyed && { secured: lockOf(store, strangers, onNote) }),
    },
  );
  try {
    const { address } = listener;
    const link = isKeyed ? makeLink(config, address, store, options.token) : undefined;
    const text = link === undefined ? undefined : joinLinkText(link);
    if (config.linkFile !== undefined && text !== undefined) writeSecretText(config.linkFile, text);
    const announcement =
      link === undefined || !config.lan ? undefined : announceAt(address, link, onNote);
    return {
      ...{ address, link: text },
      lead: (coordinator, tell) => {
        tellRun = tell;
        waitingRoom.lead(coordinator);
        if (isKeyed) watch.begin(coordinator);
        approvals?.begin(tell);
      },
      close: async () => {
        watch.end();
        approvals?.close();
        await Promise.all([listener.close(), announcement?.close()]);
      },
    };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** Connections that wait until there is a coordinator to take them. */
class WaitingRoom {
  readonly #problemWith: (connection: Connection) => string | undefined;
  readonly #waiting: Connection[] = [];
  #leader: Leader | undefined;

  /** Who has a problem is turned away, also if it began while it has waited. */
  constructor(problem: (connection: Connection) => string | undefined) {
    this.#problemWith = problem;
  }

  take(connection: Connection): void {
    const problem = this.#problemWith(connection);
    if (problem !== undefined) return refuseConnection(connection, problem, { isDenied: true });
    if (this.#leader !== undefined) return this.#leader.accept(connection);
    this.#waiting.push(connection);
    const out = crowdedOut(this.#waiting);
    if (out === undefined) return;
    this.#waiting.splice(this.#waiting.indexOf(out), 1);
    out.destroy();
  }

  lead(coordinator: Leader): void {
    this.#leader = coordinator;
    for (const connection of this.#waiting.splice(0)) this.take(connection);
  }
}

/** Why this credential lets nobody in; undefined if it does, or none is needed. */
function problemWith(
  store: AccessStore,
  identity: string | undefined,
  { approve }: TrainConfig,
): string | undefined {
  if (identity === undefined) return undefined;
  try {
    const problem = store.problemWith(identity, 'worker');
    return problem ?? (approve && !store.isApproved(identity) ? UNAPPROVED : undefined);
  } catch (error) {
    return messageOf(error);
  }
}

function lockOf(
  store: AccessStore,
  strangers: Strangers,
  onNote: (note: string) => void,
): () => SecuredDoor {
  const lock: SecuredDoor = {
    keyOf: (identity) => {
      try {
        return store.keyOf(identity);
      } catch (error) {
        onNote(messageOf(error));
        return undefined;
      }
    },
    onStranger: (peer, reason) => strangers.note(peer, reason),
  };
  return () => lock;
}

function serveNewcomer(
  connection: Connection,
  way: Omit<TradeOptions, 'onEnd'>,
  strangers: Strangers,
  onNote: (note: string) => void,
): void {
  const { peer } = connection;
  const onEnd: TradeOptions['onEnd'] = (outcome, wasAsked) => {
    if (typeof outcome !== 'string')
      onNote(`${outcome.holder} has joined by the link (credential ${outcome.id})`);
    // The event is told already, and the person who was asked is to see what became of it.
    else if (wasAsked === true) onNote(`${peer} was refused: ${outcome}`);
    else strangers.note(peer, outcome);
  };
  serveTrade(connection, { ...way, onEnd });
}

/** Who waits for a person, where one is to let newcomers in. Throws: ConfigError without one. */
function approvalsOf({ config, approver }: CoordinatorDoorOptions): Approvals | undefined {
  if (!config.approve) return undefined;
  if (approver !== undefined) return new Approvals(systemClock, approver);
  throw new ConfigError(
    '--approve: expected a terminal at which somebody lets newcomers in, got none: input and ' +
      'messages of this command must both be in one. Start it there, or leave --approve out',
  );
}

/** Without keys nobody may listen where the internet reaches. */
function checkExposure({ host, insecure }: TrainConfig): void {
  if (!insecure || isLoopback(host)) return;
  const addresses = isEveryAddress(host) ? ownAddresses() : [host];
  const open = addresses.find((address) => /^[\d.]+$|:/.test(address) && !isPrivate(address));
  if (open === undefined) return;
  throw new ConfigError(
    `--insecure: expected a private network, got ${open}, which the internet may reach. Leave ` +
      '--insecure out: workers then join by a link with a key',
  );
}

function announceAt(
  { port }: Address,
  { token }: JoinLink,
  onNote: (note: string) => void,
): Announcement {
  return announce({ name: hostname(), port, tokenId: token.id }, (reason) =>
    onNote(`not announced in the network (${reason}): the link works all the same`),
  );
}

function makeLink(
  { host, workers }: TrainConfig,
  { port }: Address,
  store: AccessStore,
  given: Token | undefined,
): JoinLink {
  const note = 'made by a coordinator for its link';
  const wishes = {
    role: 'worker',
    lifetimeMs: LINK_LIFETIME_MS,
    maxUses: Math.min(MAX_USES, Math.max(LINK_USES, USES_PER_WORKER * workers)),
    note,
  } as const;
  const hosts = isEveryAddress(host) ? ownAddresses() : [host];
  const addresses = (hosts.length === 0 ? ['127.0.0.1'] : hosts).map((one) => ({
    host: one,
    port,
  }));
  return { addresses, token: store.create(wishes, given) };
}
