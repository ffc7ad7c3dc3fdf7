import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { recordOf } from '../../test/pass-facts.ts';
import { ManualClock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { Ring } from '../collectives/ring.ts';
import { noteBytesOf } from '../plan/attempt-note.ts';
import type { Group, GroupRing, Plan, Reduce, ToCoordinator } from '../protocol/messages.ts';
import { PEER_PROTOCOL, type PeerHello } from '../protocol/peer-messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../transport/memory-network.ts';
import { PassWork } from './pass-work.ts';
import { Peers } from './peers.ts';

const SUM_BYTES = 16;
const TENSORS = 1;
/** Within so long a group stands. */
const FORMING_MS = 30;
const GROUP = {
  kind: 'group',
  generation: 1,
  collective: 'ring',
  secret: 'secret',
  sumBytes: SUM_BYTES,
  noteBytes: 0,
} as const;
const HELLO: PeerHello = {
  kind: 'hello',
  protocol: PEER_PROTOCOL.version,
  channel: 'peer',
  generation: 1,
  secret: 'secret',
  index: 1,
};
const NOWHERE = [{ host: 'elsewhere', port: 1 }];
/** Takes plans, and computes nothing. */
const IDLE_ENGINE: Engine = {
  begin: () => {},
  extend: () => {},
  release: () => [],
  audit: () => {},
  apply: () => {},
  follow: () => {},
  halt: (_, done) => done(),
  importState: () => {},
  exportState: () => {},
  digest: () => {},
  totalsTarget: () => undefined,
  stateTarget: () => undefined,
  close: () => {},
};

/** That a group stands, whose frames are a millisecond on their way. */
function groupedOf(generation: number): ToCoordinator {
  const link = { roundTripMs: 2, bytesPerSecond: (SUM_BYTES / 2) * 1000 };
  return { kind: 'grouped', generation, link };
}

/** Sums of four equal elements. */
function sumOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array(SUM_BYTES / 4).fill(value).buffer);
}

function planOf(pass: number): Plan {
  const size = { step: 0, epoch: 0, stepInEpoch: 0, leases: [0], exponents: [0] };
  return { kind: 'plan', pass, work: 'train', reduction: 'group', ...size };
}

function reduceOf(pass: number): Reduce {
  const update = { sampleCount: 2, scalars: {} };
  return { kind: 'reduce', pass, step: 0, exponents: [0], update };
}

/** What the member at place `index` is told of a ring: workers are named after their places. */
function ringOf(kind: GroupRing['kind'], members: number[], index: number): GroupRing {
  const previous = members.at(members.indexOf(index) - 1)!;
  return { kind, members, doors: [{ host: `w${previous}`, port: 1 }] };
}

/** A worker's half, with all that it says to the coordinator. */
interface TestPeer {
  readonly host: SimulatedHost;
  readonly peers: Peers;
  readonly work: PassWork;
  readonly said: (ToCoordinator & { sum?: readonly number[] })[];
  /** Who was turned away at its door. */
  readonly refused: { readonly peer: string; readonly reason: string }[];
  /** What its engine was given after a sum. */
  readonly extended: number[];
  readonly totals: number[][];
  /** Connects somebody to its door, who first says `hello`; gives what it hears, and its end. */
  readonly visit: (hello?: object) => Visit;
}

type ToldReduced = Extract<ToCoordinator, { kind: 'reduced' }>;

interface Visit {
  readonly connection: Connection;
  readonly heard: object[];
  isOver: boolean;
}

/** Workers named `w0`, `w1` and so on, a millisecond from each other. */
function createPeers(count: number) {
  const clock = new ManualClock();
  const link = { delayMs: () => 1, heldUntilMs: 0 };
  const doors = new Map<string, (connection: Connection) => void>();
  const dial = (from: SimulatedHost, to: string): Connection | undefined => {
    const take = doors.get(to);
    if (take === undefined) return undefined;
    const host = all.find((peer) => peer.host.name === to)?.host ?? new SimulatedHost(to);
    const [near, far] = connectInMemory(clock, link, from, host);
    take(far);
    return near;
  };
  const create = (name: string): TestPeer => {
    const host = new SimulatedHost(name);
    const said: TestPeer['said'] = [];
    const totals: number[][] = [];
    const refused: TestPeer['refused'] = [];
    const coordinator = {
      send: (message: ToCoordinator) => void said.push(message),
      sendSoon: (message: ToCoordinator) => void said.push(message),
      sendData: (message: ToCoordinator, payload?: Uint8Array, onFlushed?: () => void) => {
        const sum =
          payload === undefined || payload.length === 0
            ? {}
            : { sum: [...new Int32Array(payload.slice().buffer)] };
        said.push({ ...message, ...sum });
        clock.after(0, () => onFlushed?.());
      },
    };
    const extended: number[] = [];
    const busy: Engine = { ...IDLE_ENGINE, extend: (given) => void extended.push(...given) };
    const engine = (): Engine => busy;
    const work = new PassWork({
      clock,
      link: coordinator,
      engine,
      updateMs: () => 0,
      waitCoordinatorMs: () => 0,
      onFlushed: () => {},
    });
    const peers = new Peers({
      clock,
      link: coordinator,
      work,
      donor: { admit: () => false },
      network: {
        doors: () => [{ host: name, port: 1 }],
        connect: (door, opened, failed) => {
          const connection = dial(host, door.host);
          clock.after(1, () => {
            if (connection === undefined) failed('nobody is there');
            else opened(connection);
          });
        },
        onVisitor: (take) => void doors.set(name, take),
        onRefused: (peer, reason) => void refused.push({ peer, reason }),
        makeCollective: (_name, options) => new Ring(options),
      },
      onTotal: (_, total) => void totals.push([...new Int32Array(total.slice().buffer)]),
    });
    const visit = (hello?: object): Visit => {
      const connection = dial(new SimulatedHost('visitor'), name)!;
      const visitor: Visit = { connection, heard: [], isOver: false };
      connection.limits = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 1 << 10 };
      connection.handlers = {
        onFrame: (header) => void visitor.heard.push(header as object),
        onClose: () => void (visitor.isOver = true),
      };
      if (hello !== undefined) connection.send(hello);
      return visitor;
    };
    return { host, peers, work, said, refused, extended, totals, visit };
  };
  const all: TestPeer[] = [];
  for (let i = 0; i < count; i++) all.push(create(`w${i}`));
  /** What member `index` of a group of `size` is told. */
  const groupOf = (index: number, size = count, changes: Partial<Group> = {}): Group => ({
    ...GROUP,
    index,
    size,
    rings: [ringOf('all', [...Array(size).keys()], index)],
    ...changes,
  });
  const [first] = all as [TestPeer];
  return { clock, all, first, groupOf };
}

/** A group that stands. */
function createStanding(count: number) {
  const world = createPeers(count);
  for (const [index, { peers }] of world.all.entries())
    peers.form(world.groupOf(index), TENSORS, SUM_BYTES);
  world.clock.advance(FORMING_MS);
  for (const { said } of world.all) assert.deepEqual(said.splice(0), [groupedOf(1)]);
  return world;
}

/** Two hosts of two; the leader at place `lost` is told a door where nobody is. */
function formOnHosts(lost?: number) {
  const world = createPeers(4);
  for (const [index, { peers }] of world.all.entries()) {
    const hosts = ringOf('host', index < 2 ? [0, 1] : [2, 3], index);
    const leaders = index % 2 === 0 ? [ringOf('leaders', [0, 2], index)] : [];
    const told = leaders.map((ring) => (index === lost ? { ...ring, doors: NOWHERE } : ring));
    const changes: Partial<Group> = { collective: 'hosts', rings: [hosts, ...told] };
    peers.form(world.groupOf(index, 4, changes), TENSORS, SUM_BYTES);
  }
  world.clock.advance(10);
  return world;
}

/** A worker has a plan of `pass` and has computed its part, whose sum is `value`. */
function contribute({ work }: TestPeer, pass: number, value: number): void {
  work.take(planOf(pass));
  work.beginIfDue(IDLE_ENGINE, 0);
  const records = [recordOf(0)];
  const outgoing = work.finish(pass, records, sumOf(value));
  if (outgoing !== undefined) work.contribute(outgoing);
}

describe('Peers', () => {
  test('add up the sums of all, whoever of them has computed nothing', () => {
    for (const count of [2, 3, 4]) {
      const { clock, all } = createStanding(count);
      for (const [index, peer] of all.entries())
        if (index === 0) peer.work.take(planOf(5));
        else contribute(peer, 5, index);

      for (const { peers } of all) peers.request(reduceOf(5));
      clock.advance(20);

      const total = (count * (count - 1)) / 2;
      for (const { said, totals } of all) {
        assert.deepEqual(totals, [[total, total, total, total]]);
        const { addingMs, waitPeersMs, ...rest } = said.at(-1) as ToldReduced;
        assert.deepEqual(rest, { kind: 'reduced', pass: 5 });
        assert.ok(addingMs! > 0 && waitPeersMs! > 0 && waitPeersMs! <= addingMs!);
        // Records go to the coordinator, and sums do not.
        assert.ok(said.every(({ sum }) => sum === undefined));
      }
    }
  });

  test('add up sum after sum, each once, however often it is asked for', () => {
    const { clock, all } = createStanding(2);
    for (const pass of [5, 6, 7]) {
      for (const peer of all) contribute(peer, pass, pass);
      for (const { peers } of [...all, ...all]) peers.request(reduceOf(pass));
      clock.advance(20);
    }

    for (const { totals } of all)
      assert.deepEqual(
        totals.map(([element]) => element),
        [10, 12, 14],
      );
  });

  test('wait with a sum for the plan of its pass', () => {
    const { clock, all, first } = createStanding(2);
    contribute(all[1]!, 5, 1);
    for (const { peers } of all) peers.request(reduceOf(5));
    clock.advance(20);
    assert.deepEqual(first.totals, []);

    first.work.take(planOf(5));
    first.peers.advance();
    clock.advance(20);

    assert.deepEqual(first.totals, [[1, 1, 1, 1]]);
  });

  test('add up on each host and between hosts, and blame whoever of either is gone', () => {
    const { clock, all } = formOnHosts();
    // Only what lies between hosts was measured.
    const told = all.map(({ said }) =>
      said.splice(0).map((word) => word.kind === 'grouped' && word.link !== undefined),
    );
    assert.deepEqual(told, [[true], [false], [true], [false]]);

    for (const pass of [5, 6]) {
      for (const [index, peer] of all.entries()) contribute(peer, pass, pass + index);
      for (const { peers } of all) peers.request(reduceOf(pass));
      clock.advance(30);
    }
    for (const { totals } of all)
      assert.deepEqual(
        totals.map(([element]) => element),
        [26, 30],
      );

    for (const { said } of all) said.length = 0;
    all[2]!.host.kill();
    clock.advance(1);
    const blamed = all.map(({ said }) =>
      said.map((message) => message.kind === 'grouped' && message.problem?.place),
    );
    // The leader of the other host, and the other worker of its own.
    assert.deepEqual(blamed, [[2], [], [], [2]]);
  });

  test('stand on a host only when all hosts are connected', () => {
    const { clock, all } = formOnHosts(2);

    const said = all.map((peer) => peer.said.map((word) => ('problem' in word ? word.problem : 0)));
    // Who leads no host hears nothing of it; the leaders tell, or wait.
    assert.deepEqual(said, [[], [0], [{ place: 0, reason: 'nobody is there' }], [0]]);
    clock.advance(10_000);
    assert.deepEqual(
      all[0]!.said.map((word) => word.kind === 'grouped' && word.problem?.place),
      [2],
    );
  });

  test('refuse a group whose rings they cannot be in', () => {
    const { first, groupOf } = createPeers(2);
    const ring = ringOf('all', [0, 1], 0);
    const wrong: readonly Partial<Group>[] = [
      { rings: [{ ...ring, members: [1, 2] }] },
      { rings: [{ ...ring, members: [0, 2] }] },
      { rings: [{ ...ring, members: [0, 0] }] },
      { rings: [{ ...ring, kind: 'host' }] },
      { rings: [ring, ring] },
      { collective: 'hosts' },
      { collective: 'hosts', rings: [{ ...ring, kind: 'leaders' }, ring] },
    ];

    for (const changes of wrong)
      assert.throws(() => first.peers.form(groupOf(0, 2, changes), TENSORS, SUM_BYTES), {
        code: 'PROTOCOL_INVALID',
        message: /expected rings of members/,
      });
    assert.equal(first.host.connectionCount(), 0);
  });

  test('let in a neighbour that comes before they have been told of the group', () => {
    const { clock, all, first, groupOf } = createPeers(2);
    const second = all[1]!;
    second.peers.form(groupOf(1), TENSORS, SUM_BYTES);
    clock.advance(9_000);
    assert.deepEqual(second.said, []);

    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    clock.advance(FORMING_MS);

    for (const { said } of all) assert.deepEqual(said, [groupedOf(1)]);
  });

  test('turn away at once whoever has another secret, place or header, and name each', () => {
    const { clock, all, first, groupOf } = createPeers(3);
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const strangers = (
      [
        [{ secret: 'guessed' }, 'generation 1: expected its secret, got another'],
        [{ generation: 0 }, 'generation 0 is over: the last is 1'],
        ...[0, 2].map((index) => [
          { index },
          `generation 1: expected the worker at place 1, got that at place ${index}`,
        ]),
        [{ index: -1 }, undefined],
        [{ generation: 'one' }, undefined],
        [{ channel: 'sums' }, undefined],
      ] as [object, string | undefined][]
    ).map(([change, reason]) => ({ reason, ...first.visit({ ...HELLO, ...change }) }));
    clock.advance(5);
    assert.deepEqual(
      strangers.map(({ heard }) => heard),
      strangers.map(({ reason }) => (reason === undefined ? [] : [{ kind: 'refused', reason }])),
    );
    assert.equal(first.host.connectionCount(), 1, 'that to the worker before');
    const named = first.refused.map(({ peer, reason }) => [peer.includes('visitor'), reason]);
    assert.deepEqual(
      named.slice(0, 4),
      strangers.slice(0, 4).map(({ reason }) => [true, reason]),
    );
    for (const [[, reason], key] of [
      [named[4]!, 'index'],
      [named[5]!, 'generation'],
      [named[6]!, 'channel'],
    ] as const)
      assert.match(String(reason), new RegExp(`^message from .*visitor.*: ${key} `));

    // They do not keep the right one out.
    all[2]!.peers.form(groupOf(2), TENSORS, SUM_BYTES);
    const neighbour = first.visit(HELLO);
    neighbour.connection.send({ kind: 'chosen' });
    clock.advance(FORMING_MS);
    assert.deepEqual(neighbour.heard, [{ kind: 'welcome', generation: 1 }, { kind: 'connected' }]);
  });

  test('turn away whoever waits in vain for a group that is to come, after ten seconds', () => {
    const { clock, first, groupOf } = createPeers(2);
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const early = first.visit({ ...HELLO, generation: 2 });

    clock.advance(9_990);
    assert.deepEqual([early.heard, first.refused], [[], []]);
    clock.advance(20);

    const reason = 'generation 2: nothing is known of it for 10 s';
    assert.deepEqual(early.heard, [{ kind: 'refused', reason }]);
    assert.deepEqual(
      first.refused.map((refusal) => refusal.reason),
      [reason],
    );
  });

  test('let in a neighbour at all doors, and keep the connection that it chooses', () => {
    const { clock, first, groupOf } = createPeers(2);
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const visits = Array.from({ length: 9 }, () => first.visit(HELLO));
    clock.advance(5);
    assert.deepEqual(
      visits.map(({ heard }) => heard.length),
      Array<number>(9).fill(1),
    );
    const who = 'generation 1: the worker at place 1';
    const reason = `${who} has as many connections as a worker may have doors, 8`;
    assert.deepEqual(visits[8]!.heard, [{ kind: 'refused', reason }]);

    visits[5]!.connection.send({ kind: 'chosen' });
    clock.advance(5);
    const late = first.visit(HELLO);
    clock.advance(5);

    const open = visits.flatMap(({ isOver }, index) => (isOver ? [] : [index]));
    assert.deepEqual(open, [5]);
    assert.deepEqual(late.heard, [{ kind: 'refused', reason: `${who} is connected already` }]);
  });

  test('answer a neighbour that measures, and end a connection on which it does not stop', () => {
    const { clock, first, groupOf } = createPeers(2);
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const visit = first.visit(HELLO);
    const { connection, heard } = visit;
    for (let count = 0; count < 32; count++) connection.send({ kind: 'probe', bytes: 1000 });
    clock.advance(5);
    assert.deepEqual(
      heard.slice(1),
      Array.from({ length: 32 }, () => ({ kind: 'probed' })),
    );
    assert.ok(connection.bytesReceived > 32_000);

    connection.send({ kind: 'probe', bytes: 0 });
    clock.advance(5);
    assert.ok(visit.isOver);
  });

  test('refuse who speaks another version, or does not say who it is', () => {
    const { clock, first, groupOf } = createPeers(2);
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const newer = first.visit({ ...HELLO, protocol: PEER_PROTOCOL.version + 1 });
    const other = first.visit({ kind: 'segment', sequence: 0, index: 0 });

    clock.advance(5);

    const [refusal] = newer.heard as [{ kind: string; reason: string }];
    assert.equal(refusal.kind, 'refused');
    assert.match(refusal.reason, /protocol versions of workers differ: expected 3, got 4/);
    assert.ok(newer.isOver && other.isOver);
  });

  test('have room for sixteen visitors, of whom the silent ones go after ten seconds', () => {
    const { clock, first, groupOf } = createPeers(2);
    const visits = Array.from({ length: 17 }, () => first.visit());
    clock.advance(5);
    assert.deepEqual(
      visits.flatMap(({ isOver }, i) => (isOver ? [i] : [])),
      [16],
    );

    clock.advance(10_000);
    assert.ok(visits.every(({ isOver }) => isOver));

    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    const neighbour = first.visit(HELLO);
    clock.advance(5);
    assert.equal(neighbour.heard.length, 1);
  });

  test('tell once that a neighbour cannot be reached', () => {
    const { clock, first, groupOf } = createPeers(2);

    first.peers.form(
      groupOf(0, 2, { rings: [{ kind: 'all', members: [0, 1], doors: NOWHERE }] }),
      TENSORS,
      SUM_BYTES,
    );
    clock.advance(20_000);

    const problem = { place: 1, reason: 'nobody is there' };
    assert.deepEqual(first.said, [{ kind: 'grouped', generation: 1, problem }]);
  });

  test('leave the other neighbour alone until a group that cannot be formed is over', () => {
    const { clock, all, first, groupOf } = createPeers(3);
    const nowhere: Partial<Group> = {
      rings: [{ kind: 'all', members: [0, 1, 2], doors: NOWHERE }],
    };
    for (const [index, { peers }] of all.entries())
      peers.form(groupOf(index, 3, index === 0 ? nowhere : {}), TENSORS, SUM_BYTES);

    clock.advance(5_000);
    const problem = { place: 2, reason: 'nobody is there' };
    assert.deepEqual(
      all.map(({ said }) => said),
      [[{ kind: 'grouped', generation: 1, problem }], [], []],
    );

    first.peers.fence(1, undefined);
    clock.advance(5);
    assert.equal(first.host.connectionCount(), 0);
  });

  test('tell which neighbour has not answered, or not come, after ten seconds', () => {
    const { clock, all, first, groupOf } = createPeers(3);
    // The worker before the first one is told of the group and answers; nobody comes to either.
    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    all[2]!.peers.form(groupOf(2), TENSORS, SUM_BYTES);

    clock.advance(9_999);
    assert.deepEqual(first.said, []);
    clock.advance(FORMING_MS);

    const reason = 'no answer for 10 s';
    const [problemOfFirst] = first.said;
    const [problemOfLast] = all[2]!.said;
    const grouped = { kind: 'grouped', generation: 1 };
    assert.deepEqual(problemOfFirst, { ...grouped, problem: { place: 1, reason } });
    assert.deepEqual(problemOfLast, { ...grouped, problem: { place: 1, reason } });
  });

  test('tell once that a neighbour is gone', () => {
    const { clock, all } = createStanding(3);

    all[1]!.host.kill();
    clock.advance(20);

    const neighbours = [all[0]!, all[2]!].map(({ said }) =>
      said.map((message) => message.kind === 'grouped' && message.problem?.place),
    );
    assert.deepEqual(neighbours, [[1], [1]]);
  });

  test('say when they are fenced that nothing was added up, and contribute what they have', () => {
    const { clock, first } = createStanding(2);
    contribute(first, 5, 3);
    first.peers.request(reduceOf(5));
    first.said.splice(0);

    first.peers.fence(1, undefined);
    clock.advance(FORMING_MS);

    const [fenced, contribution] = first.said;
    assert.deepEqual(fenced, { kind: 'fenced', generation: 1, pass: null });
    assert.ok(contribution?.kind === 'contribution');
    assert.deepEqual([contribution.pass, contribution.sum], [5, [3, 3, 3, 3]]);
    assert.equal(first.work.groupPass, undefined);
    assert.deepEqual(first.totals, []);
  });

  test('say when they are fenced which sum they have, and do not contribute to it again', () => {
    const { clock, all, first } = createStanding(2);
    for (const peer of all) {
      contribute(peer, 5, 3);
      peer.peers.request(reduceOf(5));
    }
    clock.advance(20);
    first.said.splice(0);

    first.peers.fence(1, undefined);
    clock.advance(FORMING_MS);

    assert.deepEqual(first.said, [{ kind: 'fenced', generation: 1, pass: 5 }]);
  });

  test('contribute to a later pass than that of their last sum when they are fenced', () => {
    const { clock, all, first } = createStanding(2);
    for (const peer of all) {
      contribute(peer, 5, 3);
      peer.peers.request(reduceOf(5));
    }
    clock.advance(20);
    contribute(first, 6, 4);
    first.said.splice(0);

    first.peers.fence(1, undefined);

    const kinds = first.said.map(({ kind }) => kind);
    assert.deepEqual(
      [first.said[0], kinds[1]],
      [{ kind: 'fenced', generation: 1, pass: 5 }, 'contribution'],
    );
  });

  test('compute nothing more in the memory of a sum that is being added up, before a fence', () => {
    const { clock, first } = createStanding(2);
    contribute(first, 5, 3);
    first.peers.request(reduceOf(5));

    // On its way it was overtaken by the word that all micro-batches are in.
    first.work.extend(5, [1]);
    clock.advance(FORMING_MS);
    assert.deepEqual(first.extended, []);

    first.peers.fence(1, undefined);
    clock.advance(FORMING_MS);
    assert.deepEqual(first.extended, [1]);
  });

  test('add up nothing after a fence, and answer one of a group that they are not in', () => {
    const { clock, all, first } = createStanding(2);
    for (const peer of all) contribute(peer, 5, 3);
    first.said.splice(0);
    first.peers.fence(7, undefined);
    assert.deepEqual(first.said.splice(0), [{ kind: 'fenced', generation: 7, pass: null }]);

    first.peers.fence(1, undefined);
    first.said.splice(0);
    for (const { peers } of all) peers.request(reduceOf(5));
    clock.advance(20);

    assert.deepEqual([first.said, first.totals, all[1]!.totals], [[], [], []]);
  });

  test('tell each other of their parts in a granted pass, and the coordinator when fenced', () => {
    const { clock, all, groupOf } = createPeers(3);
    const noteBytes = noteBytesOf(TENSORS, 1);
    for (const [index, { peers }] of all.entries())
      peers.form(groupOf(index, 3, { noteBytes }), TENSORS, SUM_BYTES);
    clock.advance(FORMING_MS);
    const heard: { total: Uint8Array; maxima: number[] }[] = [];
    for (const pass of [5, 6]) {
      for (const [index, peer] of all.entries()) {
        contribute(peer, pass, index);
        const records = [recordOf(index, { maxima: [pass + index] })];
        peer.peers.add(pass, records, (total, notes) =>
          heard.push({ total: total.slice(), maxima: notes.flatMap(({ maxima }) => maxima) }),
        );
      }
      clock.advance(20);
    }
    assert.deepEqual(heard, [
      ...all.map(() => ({ total: sumOf(3), maxima: [5, 6, 7] })),
      ...all.map(() => ({ total: sumOf(3), maxima: [6, 7, 8] })),
    ]);

    for (const { peers, said } of all) {
      said.length = 0;
      peers.fence(1, 5);
    }

    const [told] = all.map(({ said }) => said[0]);
    assert.ok(told?.kind === 'fenced');
    assert.deepEqual([told.pass, 4 * (told.sum?.length ?? 0)], [6, 3 * noteBytes]);
    // Of granted steps nothing that is under way is contributed.
    for (const { said } of all) assert.deepEqual(said, [told]);
  });

  test('go on in the next group after one that is over', () => {
    const { clock, all, groupOf } = createStanding(2);
    for (const [index, { peers, said }] of all.entries()) {
      peers.fence(1, undefined);
      peers.form(groupOf(index, 2, { generation: 2, secret: 'another' }), TENSORS, SUM_BYTES);
      said.splice(0);
    }
    clock.advance(FORMING_MS);
    for (const { said } of all) assert.deepEqual(said, [groupedOf(2)]);

    for (const peer of all) {
      contribute(peer, 9, 2);
      peer.peers.request(reduceOf(9));
    }
    clock.advance(FORMING_MS);

    for (const { totals } of all) assert.deepEqual(totals, [[4, 4, 4, 4]]);
  });

  test('take no group that is older than theirs, or whose sums are longer than a job has', () => {
    const { clock, first, groupOf } = createStanding(2);

    first.peers.form(groupOf(0), TENSORS, SUM_BYTES);
    clock.advance(20_000);
    assert.deepEqual(first.said, []);

    const longer = groupOf(0, 2, { generation: 2, sumBytes: 2 * SUM_BYTES });
    assert.throws(() => first.peers.form(longer, TENSORS, SUM_BYTES), ProtocolError);
  });

  test('leave nothing open when they close, and let nobody in any more', () => {
    const { clock, all, first } = createStanding(2);
    const waiting = first.visit();
    clock.advance(5);

    first.peers.close();
    const late = first.visit(HELLO);
    clock.advance(5);

    assert.ok(waiting.isOver && late.isOver);
    assert.equal(first.host.connectionCount(), 0);
    all[1]!.peers.close();
    clock.advance(5);
    assert.equal(clock.pendingCount(), 0);
  });
});
