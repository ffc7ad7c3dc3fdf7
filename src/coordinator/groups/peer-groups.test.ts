import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  joinMember,
  makePass,
  recordOf,
  type MemberChanges,
  type TestMember,
} from '../../../test/pass-facts.ts';
import { makeTestPlan } from '../../../test/scripted-worker.ts';
import { ManualClock } from '../../base/clock.ts';
import type { RunEvent } from '../../metrics/events.ts';
import type { Commit, ToWorker } from '../../protocol/messages.ts';
import type { Door } from '../../protocol/peer-messages.ts';
import type { Pass } from '../steps/pass.ts';
import { PeerGroups, type PeerGroupsOptions } from './peer-groups.ts';

const NOTHING = new Uint8Array(0);
const COMMIT: Commit = {
  kind: 'commit',
  pass: 1,
  step: 7,
  exponents: [0],
  update: { sampleCount: 16, scalars: {} },
};

function doorOf(host: string): Door {
  return { host, port: 1 };
}

/** Groups of members that are reached at their names, and all that followers are told. */
function createGroups(count: number, changes: Partial<PeerGroupsOptions['plan']> = {}) {
  const clock = new ManualClock();
  const events: RunEvent[] = [];
  const told: string[] = [];
  const groups = new PeerGroups({
    clock,
    plan: makeTestPlan({ collective: 'auto', ...changes }),
    followers: {
      advance: ({ workerId }, step) => void told.push(`${workerId} has ${step}`),
      forget: ({ workerId }) => void told.push(`${workerId} has something`),
      leaveBehind: ({ workerId }) => void told.push(`${workerId} is left behind`),
    },
    newSecret: () => 'secret',
    report: (event) => void events.push(event),
  });
  const join = (name: string, more: MemberChanges = {}): TestMember =>
    joinMember(clock, name, { doors: [{ host: name, port: 1 }], ...more });
  const all = Array.from({ length: count }, (_, i) => join(`w${i}`));
  const members = all.map(({ member }) => member);
  /** What was said to a member so far, without what had been read before. */
  const sentTo = ({ received }: TestMember): ToWorker[] => {
    clock.advance(2);
    return received.splice(0);
  };
  return { clock, events, told, groups, join, all, members, sentTo };
}

/** A group that stands, and has been said of a pass. */
function createStanding(count = 3) {
  const world = createGroups(count);
  const { groups, members } = world;
  groups.reductionOf(members, false, 7);
  for (const member of members) groups.hear(member, { generation: 1 });
  assert.equal(groups.reductionOf(members, false, 7), 'group');
  const pass = makePass({ step: 7, reduction: 'group' });
  return { ...world, pass };
}

/** The same while a complete pass is being added up, and `done` of its members have the total. */
function createAdding(done: number, count = 3) {
  const world = createStanding(count);
  const { groups, members, pass } = world;
  complete(pass);
  groups.addUp(pass, COMMIT);
  for (const member of members.slice(0, done)) groups.takeReduced(member, 1);
  return world;
}

function complete(pass: Pass): void {
  pass.count(Array.from({ length: pass.spec.microBatchCount }, (_, m) => recordOf(m)));
}

describe('PeerGroups', () => {
  test('has each member dial the one before it in the order of their hosts', () => {
    const { groups, join, sentTo, all } = createGroups(0);
    all.push(join('b', { rank: 0 }), join('a', { rank: 2 }), join('c', { rank: 1 }));

    const members = all.map(({ member }) => member);
    assert.equal(groups.reductionOf(members, false, 0), 'star');

    const size = { size: 3, sumBytes: 16, noteBytes: 80 };
    const common = { kind: 'group', generation: 1, collective: 'ring', secret: 'secret', ...size };
    const [b, a, c] = all.map((member) => sentTo(member));
    const ring = { kind: 'all', members: [0, 1, 2] } as const;
    assert.deepEqual(a, [{ ...common, index: 0, rings: [{ ...ring, doors: [doorOf('c')] }] }]);
    assert.deepEqual(b, [{ ...common, index: 1, rings: [{ ...ring, doors: [doorOf('a')] }] }]);
    assert.deepEqual(c, [{ ...common, index: 2, rings: [{ ...ring, doors: [doorOf('b')] }] }]);
  });

  test('connects the members of each host, and the first of each, where a host has several', () => {
    const { groups, join, sentTo, events } = createGroups(0);
    const places = ['a', 'b', 'b', 'c', 'c', 'c'];
    const all = places.map((host, rank) =>
      join(`w${rank}`, { rank, host, doors: [doorOf(`w${rank}`)] }),
    );
    const members = all.map(({ member }) => member);

    assert.equal(groups.reductionOf(members, false, 0), 'star');

    const leaders = { kind: 'leaders', members: [0, 1, 3] };
    const [b, c] = [
      { kind: 'host', members: [1, 2] },
      { kind: 'host', members: [3, 4, 5] },
    ];
    const sent = all.flatMap((member) => sentTo(member));
    assert.deepEqual(
      sent.map((group) => group.kind === 'group' && [group.collective, group.index, group.rings]),
      [
        [{ ...leaders, doors: [doorOf('w3')] }],
        [
          { ...b, doors: [doorOf('w2')] },
          { ...leaders, doors: [doorOf('w0')] },
        ],
        [{ ...b, doors: [doorOf('w1')] }],
        [
          { ...c, doors: [doorOf('w5')] },
          { ...leaders, doors: [doorOf('w1')] },
        ],
        [{ ...c, doors: [doorOf('w3')] }],
        [{ ...c, doors: [doorOf('w4')] }],
      ].map((rings, index) => ['hosts', index, rings]),
    );

    for (const member of members) groups.hear(member, { generation: 1 });
    groups.reductionOf(members, false, 1);
    assert.deepEqual(
      events.map((event) => event.kind === 'collective-chosen' && event.collective),
      ['hosts'],
    );
    const problem = { place: 0, reason: 'it closed the connection' };
    assert.match(
      groups.hear(members[3]!, { generation: 1, problem })!,
      /^rank 3 and rank 0: it closed/,
    );
  });

  test('connects all in one ring where the user wants that, whatever host they are on', () => {
    const { groups, join, sentTo } = createGroups(0, { collective: 'ring' });
    const all = ['a', 'a', 'b'].map((host, rank) =>
      join(`w${rank}`, { rank, host, doors: [doorOf(`w${rank}`)] }),
    );

    groups.reductionOf(
      all.map(({ member }) => member),
      false,
      0,
    );

    const [group] = sentTo(all[0]!);
    assert.ok(group?.kind === 'group');
    assert.deepEqual(
      [group.collective, group.rings],
      ['ring', [{ kind: 'all', members: [0, 1, 2], doors: [doorOf('w2')] }]],
    );
  });

  test('has members try all doors but those of another machine to itself', () => {
    const { groups, join, sentTo } = createGroups(0, { collective: 'ring' });
    const doorsOf = (...hosts: string[]) => hosts.map((host) => ({ host, port: 1 }));
    const ours = doorsOf('127.0.0.1', '10.0.0.1', '10.1.0.1');
    const all = [
      join('w0', { host: 'desk', localHost: '127.0.0.1', doors: ours }),
      join('w1', { host: 'desk', localHost: '127.0.0.1', doors: ours }),
      join('w2', { host: 'laptop', localHost: '10.0.0.1', doors: doorsOf('10.0.0.2', '10.1.0.2') }),
      join('w3', { host: 'mini', localHost: '10.0.0.1', doors: doorsOf('10.0.0.3') }),
    ];
    const members = all.map(({ member }) => member);

    groups.reductionOf(members, false, 0);

    const told = all.map((member) => {
      const group = sentTo(member)[0];
      return group?.kind === 'group'
        ? group.rings.flatMap(({ doors }) => doors.map(({ host }) => host))
        : [];
    });
    assert.deepEqual(told, [
      ['10.0.0.3'],
      ['127.0.0.1'],
      ['10.0.0.1', '10.1.0.1'],
      ['10.0.0.2', '10.1.0.2'],
    ]);
  });

  test('has sums go through the coordinator until all members stand, and tells it then', () => {
    const { groups, members, events } = createGroups(2);
    const [first, second] = members as [(typeof members)[0], (typeof members)[0]];

    const ways = [groups.reductionOf(members, false, 0)];
    groups.hear(first, { generation: 1 });
    groups.hear(first, { generation: 1 });
    ways.push(groups.reductionOf(members, false, 1));
    groups.hear(second, { generation: 1 });
    ways.push(groups.reductionOf(members, false, 2), groups.reductionOf(members, false, 3));

    assert.deepEqual(ways, ['star', 'star', 'group', 'group']);
    assert.deepEqual(events, [
      { kind: 'collective-chosen', step: 2, collective: 'ring', ranks: [0, 1] },
    ]);
  });

  test('leaves sums to the coordinator where links are slow that it has not, and tries again', () => {
    for (const collective of ['auto', 'ring'] as const) {
      const { groups, members, events, clock } = createGroups(3, { collective, sumElements: 1e5 });
      const speeds = [1e8, 1e6, 1e8];
      groups.reductionOf(members, false, 0);
      const reasons = members.map((member, i) =>
        groups.hear(member, {
          generation: 1,
          link: { roundTripMs: 1, bytesPerSecond: speeds[i]! },
        }),
      );
      const [reason] = reasons.splice(2);
      assert.deepEqual(reasons, [undefined, undefined]);
      if (reason !== undefined) groups.disband();
      const ways = [groups.reductionOf(members, false, 1)];
      clock.advance(5_000);
      groups.reductionOf(members, false, 2);
      ways.push(groups.reductionOf(members, false, 2));

      const isFree = collective === 'auto';
      assert.deepEqual(ways, isFree ? ['star', 'star'] : ['group', 'group']);
      assert.equal(events.length, 1);
      const [chosen] = events;
      assert.ok(chosen?.kind === 'collective-chosen');
      assert.equal(chosen.collective, isFree ? 'star' : 'ring');
      assert.equal(Math.round(chosen.predictedMs!), isFree ? 25 : 535);
      assert.match(chosen.reason!, /slowest link 8\.0 Mbit\/s, from rank 0 to rank 1/);
      if (isFree) assert.equal(chosen.reason, reason);
    }
  });

  test('forms no group of one, of who is reached nowhere, with followers, or where unwanted', () => {
    const worlds = [createGroups(1), createGroups(2, { collective: 'star' })];
    const withoutDoor = createGroups(1);
    const hidden = withoutDoor.join('w1', { doors: [] });
    withoutDoor.members.push(hidden.member);
    for (const world of [...worlds, withoutDoor, createGroups(2, { auditRate: 0.1 })]) {
      assert.equal(world.groups.reductionOf(world.members, false, 0), 'star');
      assert.deepEqual(world.all.flatMap(world.sentTo), []);
    }
    const { groups, members, all, sentTo } = createGroups(2);
    assert.equal(groups.reductionOf(members, true, 0), 'star');
    assert.deepEqual(all.flatMap(sentTo), []);
  });

  test('leaves sums to the coordinator where shm is wanted on several machines, and names them', () => {
    const { groups, join, sentTo, events } = createGroups(0, { collective: 'shm' });
    const all = ['desk', 'laptop', 'desk', 'mini'].map((host, rank) =>
      join(`w${rank}`, { rank, host }),
    );
    const members = all.map(({ member }) => member);

    assert.equal(groups.reductionOf(members, false, 0), 'star');

    assert.deepEqual(all.flatMap(sentTo), []);
    const [chosen] = events;
    assert.ok(chosen?.kind === 'collective-chosen');
    assert.deepEqual([chosen.collective, chosen.ranks], ['star', [0, 1, 2, 3]]);
    assert.equal(
      chosen.reason,
      '--collective shm is for workers of one machine, and there are ranks 0, 2 on desk; rank 1 ' +
        'on laptop; rank 3 on mini. Use auto, which adds up in memory on each machine and in a ' +
        'ring between them, or ring',
    );

    // Those of one machine are left: they have memory in common.
    const ofDesk = members.filter(({ hello }) => hello.host === 'desk');
    groups.reductionOf(ofDesk, false, 1);
    for (const member of ofDesk) groups.hear(member, { generation: 1 });
    assert.equal(groups.reductionOf(ofDesk, false, 2), 'group');
    assert.deepEqual(
      events.map((event) => event.kind === 'collective-chosen' && event.collective),
      ['star', 'shm'],
    );
  });

  test('leaves the group for another when the members are others', () => {
    const { groups, members, all, sentTo } = createStanding();
    all.flatMap(sentTo);

    assert.equal(groups.reductionOf(members.slice(1), false, 8), 'star');

    const kinds = all.map((member) => sentTo(member).map(({ kind }) => kind));
    assert.deepEqual(kinds, [['fence'], ['fence', 'group'], ['fence', 'group']]);
  });

  test('has a complete pass added up once, which counts when all have the total', () => {
    const { groups, members, all, sentTo, pass, told } = createStanding();
    all.flatMap(sentTo);
    complete(pass);

    assert.equal(groups.addUp(pass, COMMIT), false);
    for (const member of members.slice(1)) groups.takeReduced(member, 1);
    assert.equal(groups.addUp(pass, COMMIT), false);
    groups.takeReduced(members[0]!, 1);
    assert.equal(groups.addUp(pass, COMMIT), true);
    groups.settle(8);

    const reduce = { ...COMMIT, kind: 'reduce' };
    assert.deepEqual(
      all.map((member) => sentTo(member)),
      [[reduce], [reduce], [reduce]],
    );
    assert.deepEqual(told, ['w0 has 8', 'w1 has 8', 'w2 has 8']);
    assert.equal(groups.reductionOf(members, false, 8), 'group');
  });

  test('counts a step that was fenced if somebody has its total; the others get the state', () => {
    const { groups, members, pass, told } = createAdding(0);
    const [a, b, c] = members as [(typeof members)[0], (typeof members)[0], (typeof members)[0]];
    groups.fence(pass);
    assert.ok(groups.isFencing);

    groups.takeFenced(a, 1, null, NOTHING);
    groups.takeFenced(b, 1, 1, NOTHING);
    assert.equal(groups.takeOutcome(), undefined);
    groups.takeFenced(c, 1, null, NOTHING);

    assert.equal(groups.takeOutcome(), pass);
    assert.equal(groups.addUp(pass, COMMIT), true);
    groups.settle(8);
    assert.deepEqual(told, [
      'w0 has something',
      'w0 is left behind',
      'w1 has 8',
      'w2 has something',
      'w2 is left behind',
    ]);
    assert.equal(groups.isAddingUp, false);
  });

  test('has a fenced step go through the coordinator if nobody has its total', () => {
    const { groups, members, pass, told } = createAdding(0);
    groups.fence(pass);

    for (const member of members) groups.takeFenced(member, 1, null, NOTHING);

    assert.equal(groups.takeOutcome(), undefined);
    assert.deepEqual([groups.isFencing, groups.isAddingUp, told], [false, false, []]);
  });

  test('waits for nobody who is away, and takes no word of it when it is back', () => {
    const { groups, members, clock, pass, told } = createAdding(0);
    const [a, b, c] = members as [(typeof members)[0], (typeof members)[0], (typeof members)[0]];
    a.stall('silent', clock.now());
    groups.fence(pass);
    groups.left({ how: 'stalled', member: a, step: 7, silentMs: 2_000, reason: 'silent' });
    groups.takeFenced(b, 1, null, NOTHING);

    // Meanwhile it was given another state.
    a.revive(clock.now());
    groups.takeReduced(a, 1);
    groups.takeFenced(a, 1, 1, NOTHING);
    groups.takeFenced(c, 1, null, NOTHING);

    assert.equal(groups.takeOutcome(), undefined);
    assert.deepEqual(told, ['w0 has something']);
  });

  test('takes nothing that members contribute to a fenced pass before they have answered', () => {
    const { groups, members, pass } = createStanding();

    groups.fence(pass);
    const before = members.map((member) => groups.isUnanswered(member));
    groups.takeFenced(members[0]!, 1, null, NOTHING);
    const after = members.map((member) => groups.isUnanswered(member));

    assert.deepEqual(
      [before, after],
      [
        [true, true, true],
        [false, true, true],
      ],
    );
  });

  test('takes what is on its way when a group ends in a pass of the coordinator', () => {
    const { groups, members } = createStanding();

    groups.disband();

    assert.deepEqual(
      members.map((member) => groups.isUnanswered(member)),
      [false, false, false],
    );
  });

  test('tries the same members again after a problem: in five seconds, then later and later', () => {
    const { groups, members, clock, all, sentTo } = createGroups(2);
    const problem = { place: 1, reason: 'nobody is there' };
    for (const pauseMs of [5_000, 20_000, 80_000, 320_000, 600_000, 600_000]) {
      groups.reductionOf(members, false, 0);
      const group = sentTo(all[0]!).find(({ kind }) => kind === 'group');
      const generation = group?.kind === 'group' ? group.generation : 0;
      const reason = groups.hear(members[0]!, { generation, problem });
      assert.equal(reason, 'rank 0 and rank 1: nobody is there');
      groups.disband();

      clock.advance(pauseMs - 10);
      groups.reductionOf(members, false, 0);
      const kinds = sentTo(all[0]!).map(({ kind }) => kind);
      assert.deepEqual(kinds, ['fence'], `${pauseMs} ms`);
      clock.advance(10);
    }
  });

  test('tries again soon if the group had stood as long as it was waited for, and a minute', () => {
    const { groups, members, clock, all, sentTo } = createGroups(2);
    const problem = { place: 1, reason: 'it closed the connection' };
    /** A group stands for so long, and fails; then the next is formed after `pauseMs`. */
    const failAfter = (stoodMs: number, pauseMs: number): void => {
      groups.reductionOf(members, false, 0);
      const group = sentTo(all[0]!).find(({ kind }) => kind === 'group');
      assert.ok(group?.kind === 'group', `after ${pauseMs} ms`);
      for (const member of members) groups.hear(member, { generation: group.generation });
      clock.advance(stoodMs);
      groups.hear(members[0]!, { generation: group.generation, problem: problem });
      groups.disband();
      clock.advance(pauseMs - 10);
      groups.reductionOf(members, false, 0);
      assert.ok(sentTo(all[0]!).every(({ kind }) => kind !== 'group'));
      clock.advance(10);
    };

    failAfter(0, 5_000);
    failAfter(59_999, 20_000);
    failAfter(60_000, 5_000);
    for (const pauseMs of [20_000, 80_000]) failAfter(0, pauseMs);
    failAfter(79_999, 320_000);
    failAfter(320_000, 5_000);
  });

  test('gives up a group that does not stand after 15 s', () => {
    const { groups, members, clock } = createGroups(2);
    groups.reductionOf(members, false, 0);
    groups.hear(members[0]!, { generation: 1 });

    clock.advance(15_000);
    assert.equal(groups.problem(), undefined);
    clock.advance(1);

    assert.equal(groups.problem(), 'rank 1: not connected to the others after 15 s');
  });

  test('gives up adding up, and who does not answer a fence, after 2 s without progress', () => {
    const { groups, members, clock, pass } = createAdding(2);

    clock.advance(2_000);
    assert.equal(groups.problem(), undefined);
    clock.advance(1);
    assert.equal(groups.problem(), 'rank 2: no progress with adding up for 2 s');

    members[1]!.liveness.restartPatience(clock.now());
    groups.fence(pass);
    clock.advance(700);
    groups.takeFenced(members[0]!, 1, 1, NOTHING);
    assert.deepEqual(groups.overdue(), []);
    clock.advance(1);
    // It got on with nothing before that, either.
    assert.deepEqual(groups.overdue(), members.slice(2));
    clock.advance(1_299);
    assert.deepEqual(groups.overdue(), members.slice(2));
    clock.advance(1);
    assert.deepEqual(groups.overdue(), members.slice(1));
  });

  test('tells once that sums go through the coordinator, whatever the reasons are', () => {
    const { groups, events, members, clock } = createGroups(2);

    groups.reductionOf(members, false, 1);
    groups.hear(members[0]!, { generation: 1, problem: { place: 1, reason: 'nobody is there' } });
    groups.disband();
    groups.reductionOf(members, false, 2);
    clock.advance(60_000);
    groups.reductionOf(members, false, 3);
    groups.hear(members[1]!, { generation: 2, problem: { place: 0, reason: 'it is closed' } });
    groups.disband();
    groups.reductionOf(members, false, 4);

    const reason = 'rank 0 and rank 1: nobody is there';
    const [star] = events;
    assert.deepEqual(star, {
      kind: 'collective-chosen',
      step: 1,
      collective: 'star',
      ranks: [0, 1],
      reason,
    });
    assert.equal(events.length, 1);
  });

  test('knows nothing of the state of those who were adding up a pass that is void', () => {
    const { groups, told, all, sentTo } = createAdding(1, 2);
    all.flatMap(sentTo);

    groups.abandoned();

    assert.deepEqual(told, [
      'w0 has something',
      'w0 is left behind',
      'w1 has something',
      'w1 is left behind',
    ]);
    assert.deepEqual(
      all.flatMap(sentTo).map(({ kind }) => kind),
      ['fence', 'fence'],
    );
  });
});
