import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkCoordinator, type CoordinatorAnswer } from './coordinator-check.ts';
import type { Finding, Problem } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import { checkLinks, type Link, type Passage } from './link-checks.ts';
import { explainReach, type Reach } from './reach.ts';

const LINUX: MachineFacts = { platform: 'linux' };

function reach(outcome: Reach['outcome'], more: Partial<Reach> = {}): Reach {
  return { host: '10.0.0.3', port: 29_500, outcome, ...more };
}

describe('explainReach', () => {
  const explain = (of: Reach, from = LINUX, to: MachineFacts = {}): Problem | undefined =>
    explainReach(of, 'the coordinator', from, to);

  test('has nothing to say of who is reached, or refuses', () => {
    assert.equal(explain(reach('reached')), undefined);
    assert.equal(explain(reach('refused')), undefined);
  });

  test('names the firewall when the machine answers elsewhere, with a rule for what it has', () => {
    const silent = reach('silent', { answersElsewhere: true });
    const remedyFor = (to: MachineFacts): string | undefined => explain(silent, LINUX, to)?.remedy;

    assert.equal(explain(silent)?.id, 'port-blocked');
    assert.equal(
      remedyFor({ platform: 'linux', inputChains: ['inet filter input', 'ip filter INPUT'] }),
      'sudo nft insert rule inet filter input tcp dport 29500 accept && ' +
        'sudo nft insert rule ip filter INPUT tcp dport 29500 accept   # on 10.0.0.3',
    );
    assert.match(remedyFor({ firewall: 'ufw' })!, /^sudo ufw allow 29500\/tcp /);
    assert.match(
      remedyFor({ firewall: 'firewalld' })!,
      /^sudo firewall-cmd --add-port=29500\/tcp /,
    );
    assert.match(remedyFor({ platform: 'darwin' })!, /--unblockapp/);
    assert.match(remedyFor({ platform: 'win32' })!, /^netsh .*localport=29500 /);
  });

  test('tells a machine that is away from one to which no route leads', () => {
    assert.equal(explain(reach('silent', { answersElsewhere: false }))?.id, 'host-silent');
    assert.match(explain(reach('unreachable', { isNeighbour: true }))!.cause, /off, asleep/);
    assert.match(explain(reach('unreachable'))!.cause, /different networks/);
    assert.match(explain(reach('unreachable'), { platform: 'darwin' })!.remedy, /^route -n get/);
  });

  test('names the permission that a program on macOS 15 lacks, for neighbours only', () => {
    const sequoia: MachineFacts = { platform: 'darwin', release: '24.1.0' };
    const sonoma: MachineFacts = { platform: 'darwin', release: '23.6.0' };
    const neighbour = reach('unreachable', { isNeighbour: true });

    assert.equal(explain(neighbour, sequoia)?.id, 'local-network-denied');
    assert.match(explain(neighbour, sequoia)!.remedy, /Privacy & Security, Local Network/);
    assert.equal(explain(neighbour, sonoma)?.id, 'host-unreachable');
    assert.equal(explain(reach('unreachable'), sequoia)?.id, 'host-unreachable');
  });

  test('knows names that nobody knows, and packets that do not leave', () => {
    const unknown = reach('name unknown', { host: 'mini1.lan' });

    assert.match(explain(unknown)!.remedy, /mini1\.local/);
    assert.match(explain(reach('forbidden'))!.cause, /its own firewall/);
  });
});

describe('checkCoordinator', () => {
  const check = (answer: CoordinatorAnswer): Finding => checkCoordinator(answer, LINUX)[0]!;

  test('says through which address it is reached', () => {
    const answer: CoordinatorAnswer = {
      reach: reach('reached', { localAddress: '10.0.0.2' }),
      greeting: { kind: 'welcome', ms: 1.2 },
    };

    assert.equal(
      check(answer).what,
      'the coordinator at 10.0.0.3:29500 answers in 2 ms, reached from 10.0.0.2',
    );
  });

  test('knows that a coordinator listens on loopback if nobody says otherwise', () => {
    const absent = check({ reach: reach('refused') }) as Problem;

    assert.equal(absent.id, 'coordinator-absent');
    assert.match(absent.cause, /listens on 127\.0\.0\.1 only/);
    assert.match(absent.remedy, /--host 0\.0\.0\.0 --port 29500/);
  });

  for (const [kind, id] of [
    ['differs', 'coordinator-differs'],
    ['token', 'token-wrong'],
    ['refuses', 'coordinator-refuses'],
    ['stranger', 'not-a-coordinator'],
  ] as const)
    test(`calls an answer of the kind "${kind}" ${id}, in the words of the other end`, () => {
      const greeting = { kind, reason: 'because' };
      const problem = check({ reach: reach('reached'), greeting }) as Problem;

      assert.equal(problem.id, id);
      assert.equal(problem.cause, 'because');
    });
});

describe('checkLinks', () => {
  const at = (host: string, rate?: number): Passage => ({
    reach: { host, port: 4_000, outcome: 'reached', localAddress: '10.0.0.2' },
    megabitsPerSecond: rate,
    roundTripMs: 0.3,
  });
  const away = (host: string, outcome: Reach['outcome'], more: Partial<Reach> = {}): Passage => ({
    reach: { host, port: 4_000, outcome, ...more },
  });
  const link = (passages: readonly Passage[], dataAddress?: string): Link => ({
    from: 'mini1',
    to: 'mini2',
    dataAddress,
    passages,
  });
  const check = (links: readonly Link[], facts: MachineFacts = {}): Finding[] =>
    checkLinks(links, () => facts);

  test('are good when they are as fast as a cable, and told with what was measured', () => {
    const [finding] = check([link([at('10.0.0.3', 940)])]);

    assert.equal(finding!.severity, 'ok');
    assert.equal(finding!.what, 'mini1 to mini2 at 10.0.0.3: 940 Mbit/s, 0.3 ms');
  });

  test('with a data address that is not reached name the interface, and one that is', () => {
    const passages = [away('172.17.0.1', 'unreachable'), at('10.0.0.3', 940)];
    const docker = { name: 'docker0', addresses: ['172.17.0.1'], isVirtual: true };
    const [finding] = check([link(passages, '172.17.0.1')], { interfaces: [docker] });
    const problem = finding as Problem;

    assert.equal(problem.id, 'wrong-interface');
    assert.equal(problem.severity, 'error');
    assert.match(problem.cause, /is on docker0 172\.17\.0\.1 \(virtual\) of mini2/);
    assert.match(problem.remedy, /^address: 10\.0\.0\.3 /);
  });

  test('with loopback as data address say what it is', () => {
    const passages = [away('127.0.0.1', 'refused'), at('10.0.0.3', 940)];
    const [finding] = check([link(passages, '127.0.0.1')]);

    assert.match((finding as Problem).cause, /loopback, which is another machine for everybody/);
  });

  test('with a data address on the slower of two networks name the faster one', () => {
    const passages = [at('192.168.1.3', 40), at('10.0.0.3', 9_400)];
    const [finding] = check([link(passages, '192.168.1.3')]);

    assert.equal((finding as Problem).id, 'wrong-interface');
    assert.equal((finding as Problem).severity, 'warning');
    assert.match(finding!.what, /40 Mbit\/s, 0\.3 ms at 192\.168\.1\.3, and 9\.4 Gbit\/s/);
  });

  test('name Wi-Fi, a bad cable, or something between, when they are slow', () => {
    const interfaceOf = (more: object): MachineFacts => ({
      interfaces: [{ name: 'en0', addresses: ['10.0.0.2'], ...more }],
    });
    const slow = [link([at('10.0.0.3', 8)])];
    const causeOf = (facts: MachineFacts): string => (check(slow, facts)[0] as Problem).cause;

    assert.match(causeOf(interfaceOf({ isWireless: true })), /^en0 is Wi-Fi/);
    assert.match(causeOf(interfaceOf({ megabitsPerSecond: 10 })), /^en0 agreed on 10 Mbit\/s/);
    assert.match(causeOf(interfaceOf({ megabitsPerSecond: 1000 })), /^something between/);
  });

  test('stand out when they are far slower than the others', () => {
    const links = [940, 930, 935, 150].map((rate) => link([at('10.0.0.3', rate)]));

    assert.deepEqual(
      check(links).map(({ id }) => id),
      ['link', 'link', 'link', 'link-slow'],
    );
  });

  test('that are slow at one host are told once, of that host', () => {
    const between = (from: string, to: string, rate: number): Link => ({
      ...{ from, to, dataAddress: undefined },
      passages: [at('10.0.0.3', rate)],
    });
    const findings = check([
      ...[between('ann', 'bob', 9), between('bob', 'ann', 9), between('cy', 'bob', 9)],
      ...[between('bob', 'cy', 9), between('ann', 'cy', 940), between('cy', 'ann', 940)],
    ]);
    const slow = findings.filter(({ id }) => id === 'link-slow');

    assert.deepEqual(
      slow.map(({ host }) => host),
      ['bob'],
    );
    assert.match(slow[0]!.what, /^all links of bob are slow: ann to bob at 10\.0\.0\.3: 9\.0 Mbit/);
    assert.match((slow[0] as Problem).cause, /other links pass 940 Mbit\/s/);
  });

  test('without a way are no error, since sums then go through the coordinator', () => {
    const [finding] = check([link([away('10.0.0.3', 'unreachable', { isNeighbour: true })])]);

    assert.equal((finding as Problem).id, 'host-unreachable');
    assert.equal(finding!.severity, 'warning');
    assert.match((finding as Problem).cause, /training goes on without, through the coordinator/);
  });

  test('that a firewall drops get a rule for the machine that dials', () => {
    const silent = away('10.0.0.3', 'silent', { answersElsewhere: true, localAddress: '10.0.0.2' });
    const [finding] = check([link([silent])], { inputChains: ['inet filter input'] });

    assert.equal(
      (finding as Problem).remedy,
      'sudo nft insert rule inet filter input ip saddr 10.0.0.2 meta l4proto tcp accept   # on mini2',
    );
  });
});
