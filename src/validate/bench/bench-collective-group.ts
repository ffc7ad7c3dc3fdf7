/**
 * Groups of the ranks of a collective benchmark, formed the way workers form theirs, and sums that
 * can be waited for. Ranks may be started minutes apart, so a group is tried again and again.
 */
import { systemClock, type Timer } from '../../base/clock.ts';
import { LockstepError, messageOf, PeerLostError, RendezvousError } from '../../base/errors.ts';
import type { BodyName } from '../../collectives/body-names.ts';
import type { GroupPlace, Neighbours } from '../../collectives/collective.ts';
import { ringsAt, ringsOf } from '../../coordinator/groups/rings.ts';
import type { Group } from '../../protocol/messages.ts';
import type { Door } from '../../protocol/peer-messages.ts';
import { PeerDoor } from '../../worker/peer-door.ts';
import { PeerGroup } from '../../worker/peer-group.ts';
import type { PeerNetwork } from '../../worker/peer-network.ts';

/**
 * After a group that was not formed. By then its end has travelled around the ring, and all ranks
 * begin anew.
 */
const RETRY_MS = 300;
/** Time for a sum, to which comes what the slowest link that anybody would measure takes. */
const SUM_TIMEOUT_MS = 30_000;
const SLOWEST_BYTES_PER_MS = 5_000;

/** A rank among the others. */
export interface RankPlace {
  /** 0 to size - 1. */
  readonly index: number;
  readonly size: number;
  /** Known to the ranks only. */
  readonly secret: string;
  /** Of all ranks. Those at one address are on one host. */
  readonly doors: readonly Door[];
}

/** What is added up in a group. */
export interface GroupSums {
  readonly collective: BodyName;
  /** Bytes of a sum: a multiple of 16. */
  readonly byteLength: number;
}

/** Forms the groups of one rank, of which several may be there at once. */
export class BenchGroups {
  readonly #network: PeerNetwork;
  readonly #place: RankPlace;
  readonly #door: PeerDoor;
  readonly #present = new Set<BenchGroup>();
  #generation = 0;

  constructor(network: PeerNetwork, place: RankPlace) {
    this.#network = network;
    this.#place = place;
    this.#door = new PeerDoor(systemClock, {
      // Another may be one that is tried again in a moment.
      admit: (connection, hello) =>
        [...this.#present]
          .find(({ peers }) => peers.generation === hello.generation)
          ?.peers.admit(connection, hello) ?? 'waiting',
    });
    network.onVisitor((connection) => this.#door.receive(connection));
  }

  /**
   * Forms the next group once all ranks are there, which form the same ones in the same order.
   *
   * Throws: RendezvousError when not all of them have come for `meetMs`.
   */
  async form(sums: GroupSums, meetMs: number): Promise<BenchGroup> {
    const untilMs = systemClock.now() + meetMs;
    const generation = this.#generation++;
    for (;;) {
      const group = this.#begin(generation, sums);
      try {
        await group.standing(untilMs - systemClock.now());
        return group;
      } catch (error) {
        group.close();
        if (systemClock.now() + RETRY_MS > untilMs)
          throw new RendezvousError(
            `a ring: not all ranks have come for ${meetMs} ms: ${messageOf(error)}`,
            {},
            { cause: error },
          );
        await new Promise<void>((resolve) => systemClock.after(RETRY_MS, resolve));
      }
    }
  }

  #begin(generation: number, { collective, byteLength: sumBytes }: GroupSums): BenchGroup {
    const { doors, ...place } = this.#place;
    const facts = { ...place, kind: 'group', generation, collective, sumBytes } as const;
    const all = ringsOf(
      collective,
      doors.map(({ host }) => host),
    );
    const rings = ringsAt(all, place.index).map(({ ring, previous }) => ({
      ...ring,
      doors: doors.slice(previous, previous + 1),
    }));
    const group = new BenchGroup({ ...facts, noteBytes: 0, rings }, this.#network, () =>
      this.#present.delete(group),
    );
    this.#present.add(group);
    this.#door.reconsider();
    return group;
  }
}

/** A part in a group whose totals can be waited for. */
export class BenchGroup {
  readonly peers: PeerGroup;
  readonly place: GroupPlace;
  readonly #onClose: () => void;
  readonly #neighbours: Neighbours[] = [];
  #sequence = 0;
  #failure: LockstepError | undefined;
  #onFailure: (error: LockstepError) => void = () => {};
  #onStanding: () => void = () => {};

  constructor(group: Group, network: PeerNetwork, onClose: () => void) {
    this.place = { index: group.index, size: group.size, byteLength: group.sumBytes };
    this.#onClose = onClose;
    this.peers = new PeerGroup({
      group,
      tensors: 0,
      network: {
        ...network,
        makeCollective: (name, options) => {
          this.#neighbours.push(options.neighbours);
          return network.makeCollective(name, options);
        },
      },
      clock: systemClock,
      onStanding: () => this.#onStanding(),
      onBroken: (place, reason) => this.#break(`rank ${place}: ${reason}`),
    });
  }

  /** Bytes that did not come through memory of the machine. */
  get socketBytesReceived(): number {
    return this.#neighbours
      .flatMap(({ previous, next }) => [previous, next])
      .reduce((sum, end) => sum + end.bytesReceived - end.localBytesReceived, 0);
  }

  /** Resolves once all ranks are connected to their neighbours. Throws: why they are not. */
  async standing(timeoutMs: number): Promise<void> {
    await this.#await<void>(timeoutMs, 'they do not answer', (resolve) => {
      if (this.peers.isStanding) resolve();
      this.#onStanding = resolve;
    });
  }

  /** Adds up; gives what `read` makes of the total. Throws: why there is none. */
  async add<T>(own: Uint8Array, read: (total: Int32Array) => T): Promise<T> {
    const { size, byteLength } = this.place;
    const timeoutMs = SUM_TIMEOUT_MS + (2 * size * byteLength) / SLOWEST_BYTES_PER_MS;
    const what = `bench-collective, sum ${this.#sequence}: no total for ${(timeoutMs / 1000).toFixed(0)} s`;
    return this.#await<T>(timeoutMs, what, (resolve) =>
      this.peers.reduce(this.#sequence++, own, [], ({ buffer, byteOffset, length }) =>
        resolve(read(new Int32Array(buffer, byteOffset, length / 4))),
      ),
    );
  }

  /** Leaves the group. */
  close(): void {
    this.peers.close();
    this.#onClose();
  }

  /** What `begin` resolves with, or why the group is over. */
  async #await<T>(
    timeoutMs: number,
    late: string,
    begin: (resolve: (value: T) => void) => void,
  ): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    let timer: Timer | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        timer = systemClock.after(timeoutMs, () =>
          reject(new LockstepError('COLLECTIVE_TIMEOUT', late)),
        );
        this.#onFailure = reject;
        begin(resolve);
      });
    } finally {
      timer?.cancel();
    }
  }

  #break(reason: string): void {
    this.#failure = new PeerLostError(reason);
    this.#onFailure(this.#failure);
  }
}
