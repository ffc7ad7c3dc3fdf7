import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { postsOf } from './host.ts';
import { namesHosts, parseHosts } from './hosts-file.ts';
import { listenAddress } from './launch-cluster.ts';

const parse = (text: string) => parseHosts({ file: 'hosts.yaml', text });
const complaintOf = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('a file of hosts', () => {
  test('may be a list of names, of which the first one coordinates', () => {
    const { cluster, isSeedFile } = parse('hosts: [mini1, mini2]\n');

    assert.equal(isSeedFile, false);
    assert.equal(cluster.coordinator, cluster.hosts[0]);
    assert.deepEqual(cluster.hosts[1], {
      name: 'mini2',
      target: 'mini2',
      workdir: '~/lockstep',
      workers: 1,
      device: 'cpu',
    });
    assert.equal(listenAddress(cluster), '0.0.0.0');
  });

  test('gives hosts what they have, and all what stands at the top', () => {
    const { cluster } = parse(
      'user: me\nworkdir: /srv/a b\ncoordinator: desk\nport: 29501\nhosts:\n' +
        '  - name: mini1\n    ssh: 192.168.1.11\n    ssh_port: 2222\n    user: you\n' +
        '    identity: ~/.ssh/mini\n    address: 10.10.0.2\n    workers: 2\n    lanes: 4\n' +
        '  - name: desk\n    address: 10.10.0.1\n    workers: 0\n',
    );

    const [mini, desk] = cluster.hosts;
    assert.equal(cluster.coordinator, desk);
    assert.deepEqual([mini?.user, desk?.user], ['you', 'me']);
    assert.deepEqual([mini?.target, mini?.port, mini?.lanes], ['192.168.1.11', 2222, 4]);
    assert.deepEqual([cluster.port, listenAddress(cluster)], [29_501, '10.10.0.1']);
    assert.deepEqual(
      postsOf(cluster.hosts).map(({ host, rank }) => `${rank}@${host.name}`),
      ['0@mini1', '1@mini1'],
    );
  });

  test('may name a coordinator that computes nothing, and another way to it for some', () => {
    const { cluster } = parse(
      'coordinator: desk\nhosts: [{name: mini1, join: 192.168.1.1}, mini2]\n',
    );

    assert.deepEqual(
      cluster.hosts.map(({ name, workers }) => [name, workers]),
      [
        ['desk', 0],
        ['mini1', 1],
        ['mini2', 1],
      ],
    );
    assert.equal(listenAddress(cluster), '0.0.0.0');
  });

  test("may be SmolCluster's, with addresses for all or by host", () => {
    const plain = parse(
      'host_ip: "10.10.0.1"\nport: 65432\nnum_workers: 2\nserver: mini1\n' +
        'workers: [mini2, {hostname: pi5, rank: 2}]\n',
    );
    assert.equal(plain.isSeedFile, true);
    assert.deepEqual(
      plain.cluster.hosts.map(({ name, workers }) => [name, workers]),
      [
        ['mini1', 0],
        ['mini2', 1],
        ['pi5', 1],
      ],
    );
    assert.equal(plain.cluster.coordinator.address, '10.10.0.1');

    const byHost = parse(
      'host_ip: {mini1: 10.10.0.1, pi5: 192.168.50.100}\nserver: mini1\n' +
        'allToAllTopology:\n  workers:\n    regular: [{hostname: mini1, rank: 0}]\n' +
        '    tablets: [{hostname: pi5, rank: 1}]\n',
    ).cluster;
    assert.deepEqual(
      byHost.hosts.map(({ name, join, workers }) => [name, join, workers]),
      [
        ['mini1', '10.10.0.1', 1],
        ['pi5', '192.168.50.100', 1],
      ],
    );
    assert.equal(namesHosts({ file: 'nn.yaml', text: 'batch_size: 32\n' }), false);
  });

  const refusals: readonly (readonly [what: string, text: string, message: RegExp])[] = [
    [
      'a name that ssh would obey',
      'hosts: ["-oProxyCommand=x"]',
      /hosts\[0\]\.name: expected a name/,
    ],
    ['a name with a shell in it', 'hosts: ["a;reboot"]', /expected a name/],
    [
      'a target that ssh would obey',
      'hosts: [{name: a, ssh: -F/x}]',
      /\.ssh: expected a host name/,
    ],
    ['a user with a shell in it', 'hosts: [a]\nuser: $(id)', /user: expected the name of a user/],
    ['a folder with a line break', 'hosts: [a]\nworkdir: "/a\\nb"', /workdir: expected a folder/],
    ['a folder from nowhere', 'hosts: [a]\nworkdir: work', /begins with \/ or ~\//],
    ['a host that is there twice', 'hosts: [a, b, a]', /the host a is there twice/],
    ['no hosts', 'hosts: []', /expected hosts, got none/],
    ['an empty file', '', /expected hosts, got none/],
    [
      'nobody who computes',
      'workers: 0\nhosts: [a]',
      /expected 1 to 256 workers on all hosts, got 0/,
    ],
    ['too many workers', 'workers: 200\nhosts: [a, b]', /got 400/],
    [
      'a key that there is not',
      'hosts: [{name: a, adress: b}]',
      /unknown key "adress"\. Known: name,/,
    ],
    ['settings of the training', 'hosts: [a]\nlr: 1', /unknown key "lr".*a file of their own/],
    ['an alias', 'hosts: &x [a]\nport: 1', /anchors and aliases .* have no place here/],
    ['hosts that are none', 'hosts: 7', /expected a list of hosts, got 7/],
    ['a host without a name', 'hosts: [{ssh: a}]', /expected a name, or keys with a name/],
    ['a seed file without hosts', 'num_workers: 2\nport: 1', /this file names no hosts/],
    ['a hostile seed', 'server: "-x"\nworkers: [b]', /expected the name of a host, got "-x"/],
  ];
  for (const [what, text, message] of refusals)
    test(`with ${what} is refused, with its place`, () => {
      const complaint = complaintOf(`${text}\n`);

      assert.match(complaint, message);
      assert.match(complaint, /^hosts\.yaml:\d+:\d+ /);
    });

  test('that blows itself up is refused at once', () => {
    const levels = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`);

    assert.notEqual(complaintOf(['a0: &a0 x', ...levels, 'hosts: *a30', ''].join('\n')), '');
    assert.match(complaintOf(`hosts: ${'['.repeat(20_000)}\n`), /hosts\.yaml:1:1/);
  });
});
