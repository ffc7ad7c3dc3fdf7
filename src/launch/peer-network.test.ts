import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { systemClock } from '../base/clock.ts';
import type { BodyName } from '../collectives/body-names.ts';
import { ringsAt, ringsOf } from '../coordinator/groups/rings.ts';
import { PEER_PROTOCOL } from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import { connect, listen } from '../transport/tcp.ts';
import { PeerDoor } from '../worker/peer-door.ts';
import { PeerGroup } from '../worker/peer-group.ts';
import { type OpenPeerNetwork, openPeerNetwork } from './peer-network.ts';

const HOST = '127.0.0.1';
const SECRET = 'of the group';
const CONNECT_MS = 5_000;
const SUM_BYTES = 1 << 20;

/** A worker as far as others reach it: its door, and the groups that it is in. */
class Peer {
  readonly network: OpenPeerNetwork;
  readonly #door: PeerDoor;
  readonly #groups: PeerGroup[] = [];

  private constructor(network: OpenPeerNetwork) {
    this.network = network;
    this.#door = new PeerDoor(systemClock, {
      admit: (connection, hello) =>
        this.#groups
          .find(({ generation }) => generation === hello.generation)
          ?.admit(connection, hello) ?? 'waiting',
      onRefused: network.onRefused,
    });
    network.onVisitor((connection) => this.#door.receive(connection));
  }

  static async open(
    t: TestContext,
    addresses: readonly string[] = [],
    notes: string[] = [],
  ): Promise<Peer> {
    const network = await openPeerNetwork(
      { host: HOST, port: 0 },
      () => {},
      (note) => void notes.push(note),
      () => addresses,
    );
    const peer = new Peer(network);
    t.after(async () => {
      peer.#groups.forEach((group) => group.close());
      peer.#door.close();
      await network.close();
    });
    return peer;
  }

  /** Takes its place in a ring; gives the group once it stands, or rejects with why it does not. */
  async join(
    { collective, generation, doors, hosts = doors.map(() => 'one') }: Ring,
    index: number,
    doorsBefore?: Ring['doors'],
  ): Promise<PeerGroup> {
    return new Promise((resolve, reject) => {
      const group: PeerGroup = new PeerGroup({
        group: {
          ...({ kind: 'group', generation, collective, secret: SECRET } as const),
          ...{ index, size: doors.length, sumBytes: SUM_BYTES, noteBytes: 0 },
          rings: ringsAt(ringsOf(collective, hosts), index).map(({ ring: own, previous }) => ({
            ...own,
            doors: [...(doorsBefore ?? [doors[previous]!])],
          })),
        },
        tensors: 0,
        network: this.network,
        clock: systemClock,
        onStanding: () => resolve(group),
        onBroken: (place, reason) => reject(new Error(`place ${place}: ${reason}`)),
      });
      this.#groups.push(group);
      this.#door.reconsider();
    });
  }
}

interface Ring {
  readonly collective: BodyName;
  readonly generation: number;
  readonly doors: readonly { readonly host: string; readonly port: number }[];
  /** Of each peer; one for all if absent. */
  readonly hosts?: readonly string[];
}

/** What everyone gets if each adds its place in the ring, plus one. */
async function totalsOf(ring: readonly PeerGroup[], pass: number): Promise<number[]> {
  return Promise.all(
    ring.map(
      async (group, index) =>
        new Promise<number>((resolve) => {
          const own = new Int32Array(SUM_BYTES / 4).fill(index + 1);
          group.reduce(pass, new Uint8Array(own.buffer), [], (total) => {
            const sums = new Int32Array(total.buffer, total.byteOffset, total.byteLength / 4);
            assert.ok(sums.every((sum) => sum === sums[0]));
            resolve(sums[0]!);
          });
        }),
    ),
  );
}

/** Gives what a peer says to who speaks another version, once it has ended the connection. */
async function knockInVain({ network }: Peer): Promise<Refusal> {
  const connection = await connect(network.address, CONNECT_MS);
  const hello = { kind: 'hello', protocol: PEER_PROTOCOL.version + 1, channel: 'peer' };
  connection.send({ ...hello, generation: 0, secret: SECRET, index: 1 });
  return endOf(connection);
}

interface Refusal {
  readonly kind: string;
  readonly reason: string;
}

/** The last that is heard on a connection until it ends. */
async function endOf(connection: Connection): Promise<Refusal> {
  return new Promise((resolve) => {
    let answer: unknown;
    connection.handlers = {
      onFrame: (header) => (answer = header),
      onClose: () => resolve(answer as Refusal),
    };
  });
}

describe('openPeerNetwork', () => {
  for (const collective of ['ring', 'shm'] as const)
    for (const size of [2, 3])
      test(`connects ${size} workers that add up by ${collective}, generation after generation`, async (t) => {
        const peers = await Promise.all(Array.from({ length: size }, async () => Peer.open(t)));
        const doors = peers.map(({ network }) => network.address);

        for (const generation of [0, 1]) {
          const ring = await Promise.all(
            peers.map(async (peer, index) => peer.join({ collective, generation, doors }, index)),
          );

          const total = (size * (size + 1)) / 2;
          assert.deepEqual(await totalsOf(ring, 5), Array<number>(size).fill(total));
          assert.deepEqual(await totalsOf(ring, 7), Array<number>(size).fill(total));
        }
      });

  for (const names of ['a a b b', 'a b b c c c', 'a b a b', 'a a b'])
    test(`connects workers on hosts ${names} that add up on each host, and between hosts`, async (t) => {
      const hosts = names.split(' ');
      const peers = await Promise.all(hosts.map(async () => Peer.open(t)));
      const doors = peers.map(({ network }) => network.address);
      const size = peers.length;

      for (const generation of [0, 1]) {
        const facts = { collective: 'hosts', generation, doors, hosts } as const;
        const group = await Promise.all(peers.map(async (peer, i) => peer.join(facts, i)));

        const total = (size * (size + 1)) / 2;
        for (const pass of [5, 6, 9])
          assert.deepEqual(await totalsOf(group, pass), Array<number>(size).fill(total));
      }
    });

  test('keeps a neighbour that comes before this worker has been told of the group', async (t) => {
    const [a, b] = [await Peer.open(t), await Peer.open(t)];
    const ring = { collective: 'ring', doors: [a.network.address, b.network.address] } as const;

    const early = b.join({ ...ring, generation: 1 }, 1);
    const first = b.join({ ...ring, generation: 0 }, 1);
    const own = [await a.join({ ...ring, generation: 0 }, 0)];
    own.push(await a.join({ ...ring, generation: 1 }, 0));

    assert.deepEqual(await totalsOf([own[0]!, await first], 0), [3, 3]);
    assert.deepEqual(await totalsOf([own[1]!, await early], 0), [3, 3]);
  });

  test('lets nobody into a group who does not know its secret, and names them', async (t) => {
    const notes: string[] = [];
    const [a, b] = [await Peer.open(t, [], notes), await Peer.open(t)];
    const doors = [a.network.address, b.network.address];
    const ring = { collective: 'ring', generation: 0, doors } as const;
    const standing = a.join(ring, 0);
    const stranger = await connect(a.network.address, CONNECT_MS);
    const hello = { kind: 'hello', protocol: PEER_PROTOCOL.version, channel: 'peer' } as const;

    stranger.send({ ...hello, generation: 0, secret: 'another', index: 1 });
    const groups = await Promise.all([standing, b.join(ring, 1)]);

    assert.deepEqual(await totalsOf(groups, 0), [3, 3]);
    assert.deepEqual(await endOf(stranger), {
      kind: 'refused',
      reason: 'generation 0: expected its secret, got another',
    });
    const said = 'was refused: generation 0: expected its secret, got another';
    assert.match(notes.join('\n'), new RegExp(`^127\\.0\\.0\\.1:\\d+ ${said}$`));
  });

  test('refuses a worker of another version, and says so to it', async (t) => {
    const peer = await Peer.open(t);

    const { kind, reason } = await knockInVain(peer);

    assert.equal(kind, 'refused');
    assert.match(reason, /versions of workers differ/);
  });

  for (const collective of ['ring', 'shm'] as const)
    test(`lets nobody begin with a ${collective} before all are there`, async (t) => {
      const peers = await Promise.all(Array.from({ length: 4 }, async () => Peer.open(t)));
      const doors = peers.map(({ network }) => network.address);
      const join = async (index: number): Promise<PeerGroup> =>
        peers[index]!.join({ collective, generation: 0, doors }, index);

      // Rank 0 has both neighbours; rank 1 has not.
      const [zero, one, three] = [join(0), join(1), join(3)];
      for (const peer of [...peers, ...peers]) await knockInVain(peer);
      const ring = await Promise.all([zero, one, join(2), three]);

      assert.deepEqual(await totalsOf(ring, 0), [10, 10, 10, 10]);
    });

  test('finds the door behind which the worker is, whoever else is at the others', async (t) => {
    const [a, b, stranger] = [await Peer.open(t), await Peer.open(t), await Peer.open(t)];
    const closed = await listen({ host: HOST, port: 0 }, () => {});
    await closed.close();
    const others = [closed.address, stranger.network.address];
    const doors = [a.network.address, b.network.address];
    const ring = { collective: 'ring', generation: 0, doors } as const;

    const groups = await Promise.all([
      a.join(ring, 0),
      b.join(ring, 1, [...others, a.network.address]),
    ]);

    assert.deepEqual(await totalsOf(groups, 0), [3, 3]);
  });

  test('opens a door in each network of its machine once it is to, eight at most', async (t) => {
    const others = Array.from({ length: 9 }, (_, i) => `127.0.0.${i + 2}`);
    const { network } = await Peer.open(t, [HOST, ...others]);
    const hosts = (): string[] => network.doors().map(({ host }) => host);
    assert.deepEqual(hosts(), [HOST]);

    await network.openWide();
    await network.openWide();

    assert.deepEqual(hosts().sort(), [HOST, ...others.slice(0, 7)].sort());
    const connections = await Promise.all(
      network.doors().map(async (door) => connect(door, CONNECT_MS)),
    );
    for (const connection of connections) connection.destroy();
  });

  test('opens the other doors when there is one that it cannot open', async (t) => {
    const { network } = await Peer.open(t, ['192.0.2.1', '127.0.0.2']);

    await assert.rejects(network.openWide(), { code: 'PEER_LOST', message: /192\.0\.2\.1/ });

    assert.deepEqual(
      network.doors().map(({ host }) => host),
      [HOST, '127.0.0.2'],
    );
  });

  test('says which neighbour is missing when the one before cannot be reached', async (t) => {
    const a = await Peer.open(t);
    const closed = await listen({ host: HOST, port: 0 }, () => {});
    await closed.close();
    const doors = [a.network.address, closed.address];

    const joining = a.join({ collective: 'ring', generation: 0, doors }, 0);

    await assert.rejects(joining, /place 1: .*ECONNREFUSED/);
  });

  test('says which door it cannot open', async (t) => {
    const { network } = await Peer.open(t);

    await assert.rejects(
      openPeerNetwork(
        network.address,
        () => {},
        () => {},
      ),
      { code: 'PEER_LOST', message: /port \d+|EADDRINUSE/ },
    );
  });
});
