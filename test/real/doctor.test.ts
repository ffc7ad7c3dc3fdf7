/**
 * Faults that people meet, made on hosts of a network: doctor names each with its cause, and finds
 * nothing any more once its remedy was followed. Commands that it prints are run as they are where
 * that is possible here.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Problem } from '../../src/doctor/checks/finding.ts';
import type { Examination } from '../../src/doctor/examination.ts';
import { type Program, REPOSITORY, startLockstep } from '../cluster/processes.ts';
import { type Host, type Network, reasonToSkip, withNetwork } from './network.ts';
import { reasonToSkipSsh, SshServers } from './ssh-server.ts';

const END_MS = 60_000;
const LOCKSTEP = join(REPOSITORY, 'bin/lockstep.js');
/** Depends on what else this machine does, or on how it is set up. */
const OF_THIS_MACHINE = ['cores-busy', 'memory-low', 'disk-low', 'shared-memory-small'];

function reason(): string | false {
  const hasFilter = spawnSync('nft', ['--version']).status === 0;
  return reasonToSkip() || reasonToSkipSsh() || (hasFilter ? false : 'without nftables');
}

/** What a look found to be wrong, of the kinds that the tests make. */
async function problemsOf(program: Program): Promise<readonly Problem[]> {
  const { status } = await program.end(END_MS);
  assert.ok(program.stdout.startsWith('{'), program.stderr);
  const { findings } = JSON.parse(program.stdout) as Examination;
  const errors = findings.filter(({ severity }) => severity === 'error');
  assert.equal(status, errors.length > 0 ? 1 : 0, 'the exit code follows from errors');
  return findings.filter(
    (finding): finding is Problem =>
      finding.severity !== 'ok' && !OF_THIS_MACHINE.includes(finding.id),
  );
}

/** Where it is and what it is, of each. */
function names(problems: readonly Problem[]): string[] {
  const placeOf = ({ host, what }: Problem): string => host ?? what.split(':')[0]!;
  return problems.map((problem) => `${placeOf(problem)}: ${problem.id}`).sort();
}

function only(problems: readonly Problem[], id: string): Problem {
  const found = problems.find((problem) => problem.id === id);
  assert.ok(found !== undefined, `${id} among ${JSON.stringify(problems)}`);
  return found;
}

/** Runs the command of a remedy as it was printed, but for `sudo`, within a host. */
function follow({ remedy }: Problem, within: readonly string[] = []): void {
  execute(remedy.split('   # ')[0]!.replaceAll('sudo ', ''), within);
}

function execute(line: string, within: readonly string[]): void {
  const words = [...within, 'sh', '-c', line];
  const { status, stderr } = spawnSync('env', words, { encoding: 'utf8' });
  assert.equal(status, 0, `${line}: ${stderr}`);
}

function inside({ namespace }: Host): readonly string[] {
  return ['ip', 'netns', 'exec', namespace];
}

function look(network: Network, servers: SshServers, args: readonly string[]): Program {
  const place = ['env', `LOCKSTEP_SSH_CONFIG=${servers.configFile}`];
  return network.run(['doctor', '--json', ...args], place);
}

/**
 * What an old machine finds for commands over ssh: a clock that is three days late, no tmux, an
 * old Lockstep, few files that may be open, a home on a disk that is full.
 */
class OldMachine {
  readonly #bin: string;
  readonly #home: string;
  readonly script: string;

  constructor(folder: string) {
    this.#bin = join(folder, 'programs');
    this.#home = join(folder, 'full');
    this.script = join(folder, 'shell');
    mkdirSync(this.#bin);
    mkdirSync(this.#home);
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'none', this.#home]);
    assert.equal(status, 0, 'mount');
    writeFileSync(join(this.#home, 'filling'), Buffer.alloc(100 << 20));
    const tools =
      'sh awk cat cut df dirname getconf grep id ifconfig ip nft prlimit tail tar uname';
    for (const tool of tools.split(' ')) this.#link(tool);
    symlinkSync(process.execPath, join(this.#bin, 'node'));
    this.#program('date', 'echo $(($(/bin/date +%s) - 259200))');
    this.#program('lockstep', 'echo 0.0.9');
    this.limitFiles(200);
  }

  #link(tool: string): void {
    const { stdout } = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' });
    if (stdout.startsWith('/')) symlinkSync(stdout.trim(), join(this.#bin, tool));
  }

  #program(name: string, line: string): void {
    const file = join(this.#bin, name);
    rmSync(file, { force: true });
    writeFileSync(file, `#!/bin/sh\n${line}\n`);
    chmodSync(file, 0o755);
  }

  limitFiles(count: number): void {
    const limited = `exec prlimit --nofile=${count}:${count} sh -c "$SSH_ORIGINAL_COMMAND"`;
    writeFileSync(this.script, `HOME=${this.#home} PATH=${this.#bin}\n${limited}\n`);
  }

  /** What the remedies come to, of which a test can run none. */
  mend(): void {
    rmSync(join(this.#home, 'filling'));
    this.#program('date', 'exec /bin/date "$@"');
    this.#program('lockstep', `exec node ${LOCKSTEP} "$@"`);
    this.#link('tmux');
    this.limitFiles(4_096);
  }

  close(): void {
    spawnSync('umount', ['-l', this.#home]);
  }
}

describe('lockstep doctor, over ssh', { skip: reason() }, () => {
  /** Hosts with these ssh servers, and an old machine among them. */
  async function withHosts(
    t: TestContext,
    use: (network: Network, servers: SshServers, old: OldMachine) => Promise<void>,
  ): Promise<void> {
    await startLockstep(t, ['--version']).end();
    const servers = new SshServers();
    const old = new OldMachine(servers.folder);
    try {
      await withNetwork(async (network) => use(network, servers, old));
    } finally {
      old.close();
      await servers.close();
    }
  }

  test('names what is wrong with hosts and links, and is content when it is mended', async (t) => {
    await withHosts(t, async (network, servers, old) => {
      const [ann, bob, cy, dan] = [undefined, undefined, 5_000, undefined].map((rate) =>
        network.addHost(rate),
      ) as [Host, Host, Host, Host];
      const serve = async (name: string, { namespace, address }: Host, settings: string[] = []) =>
        servers.serve(name, { namespace, address, settings });
      await serve('ann', ann);
      await serve('bob', bob, [`ForceCommand sh ${old.script}`]);
      await serve('cy', cy);
      await serve('dan', dan);
      for (const host of [ann, bob]) host.part();
      const rules = [
        'add table inet filter',
        'add chain inet filter input { type filter hook input priority 0; policy drop; }',
        'add rule inet filter input ct state established,related accept',
        'add rule inet filter input tcp dport 22 accept',
      ];
      for (const rule of rules) execute(`nft '${rule}'`, inside(dan));
      const file = join(servers.folder, 'hosts.yaml');
      const writeHosts = (annAddress: string): void =>
        writeFileSync(
          file,
          `hosts:\n  - name: ann\n    address: ${annAddress}\n` +
            ['bob', 'cy', 'dan'].map((name) => `  - name: ${name}\n`).join(''),
        );
      writeHosts('127.0.0.1');

      const found = await problemsOf(look(network, servers, ['--hosts', file]));

      assert.deepEqual(names(found), [
        'ann to bob: host-unreachable',
        'ann to dan: port-blocked',
        'ann: lockstep-missing',
        'bob to ann: host-unreachable',
        'bob to dan: port-blocked',
        'bob: clock-skewed',
        'bob: disk-full',
        'bob: files-limited',
        'bob: lockstep-differs',
        'bob: tmux-missing',
        'cy to ann: wrong-interface',
        'cy to dan: port-blocked',
        'cy: link-slow',
        'cy: lockstep-missing',
        'dan to ann: wrong-interface',
        'dan: lockstep-missing',
      ]);
      assert.match(only(found, 'clock-skewed').what, /72 h behind/);
      assert.match(only(found, 'lockstep-differs').what, /Lockstep is 0\.0\.9/);
      assert.match(only(found, 'link-slow').what, /^all links of cy are slow/);
      assert.match(only(found, 'wrong-interface').cause, /loopback/);
      assert.match(only(found, 'host-unreachable').cause, /keeps its devices apart/);

      for (const problem of found) if (problem.id === 'port-blocked') follow(problem, inside(dan));
      writeHosts(/^address: (\S+)/.exec(only(found, 'wrong-interface').remedy)![1]!);
      cy.limit(undefined);
      for (const host of [ann, bob]) host.part(false);
      old.mend();

      assert.deepEqual(names(await problemsOf(look(network, servers, ['--hosts', file]))), [
        'ann: lockstep-missing',
        'cy: lockstep-missing',
        'dan: lockstep-missing',
      ]);
    });
  });

  test('says why ssh does not get in, and which command mends it', async (t) => {
    await withHosts(t, async (network, servers) => {
      const ann = network.addHost(undefined);
      const { namespace, address } = ann;
      const served = await servers.serve('ann', { namespace, address });
      const knownHosts = join(servers.folder, 'known_hosts');
      writeFileSync(knownHosts, `${address} ${readFileSync(`${servers.keyFile}.pub`, 'utf8')}`);
      servers.configure('own', [
        `HostName ${address}`,
        `IdentityFile ${servers.makeKey('other-key')}`,
      ]);
      servers.configure('lost', ['HostName no-such-host.invalid']);

      const found = await problemsOf(look(network, servers, ['ann', 'lost']));
      const changed = only(found, 'ssh-host-key-changed');
      follow(changed);
      servers.know(served, join(servers.folder, 'ann-host-key'));
      const after = await problemsOf(look(network, servers, ['ann', 'own']));
      const lacking = only(after, 'ssh-key-missing');
      writeFileSync(
        `${servers.keyFile}.pub`,
        readFileSync(join(servers.folder, 'other-key.pub'), 'utf8'),
        { flag: 'a' },
      );

      assert.deepEqual(names(found), ['ann: ssh-host-key-changed', 'lost: name-unknown']);
      assert.deepEqual(names(after), ['ann: lockstep-missing', 'own: ssh-key-missing']);
      assert.match(lacking.remedy, /^ssh-copy-id .*10\.99\.0\.2/);
      assert.deepEqual(names(await problemsOf(look(network, servers, ['own']))), [
        'own: lockstep-missing',
      ]);
    });
  });
});

describe('lockstep doctor --join', { skip: reason() }, () => {
  test('names the firewall of the coordinator, with the rule that opens it', async (t) => {
    await startLockstep(t, ['--version']).end();
    await withNetwork(async (network) => {
      const ann = network.addHost(undefined);
      const { address } = await coordinatorBehindFirewall(network);
      const ask = async (): Promise<readonly Problem[]> =>
        problemsOf(ann.start(['doctor', '--json', '--join', address]));

      const blocked = only(await ask(), 'port-blocked');
      follow(blocked, network.inside);

      const open = await ask();
      assert.deepEqual(
        open.map(({ id }) => id),
        ['token-missing'],
        'it is reached, and wants a key',
      );
    });
  });
});

/** Packets for its port are dropped, and only those. */
async function coordinatorBehindFirewall(network: Network): Promise<{ readonly address: string }> {
  const run = await network.coordinate(['--workers', '1']);
  const address = await run.address();
  const rules = [
    'add table inet filter',
    'add chain inet filter input { type filter hook input priority 0; }',
    `add rule inet filter input tcp dport ${address.split(':')[1]} drop`,
  ];
  for (const rule of rules) execute(`nft '${rule}'`, network.inside);
  return { address };
}
