/** Real ssh servers for tests: each with its own port, host key, home folder and user's key. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../cluster/processes.ts';

const SSHD = '/usr/sbin/sshd';

/** Why no ssh server can be started here, or false. */
export function reasonToSkipSsh(): string | false {
  if (process.getuid?.() !== 0) return 'only root can start an ssh server that it logs in to';
  const hasAll = [
    [SSHD, '-t', '-f', '/dev/null'],
    ['ssh', '-V'],
    ['tmux', '-V'],
  ].every(([program = '', ...words]) => spawnSync(program, words).error === undefined);
  return hasAll ? false : 'without openssh-server, openssh-client or tmux';
}

/** A host that ssh reaches by its name, with the configuration file of the servers. */
export interface Served {
  readonly name: string;
  readonly home: string;
  readonly port: number;
  /** Where the server listens. */
  readonly address: string;
}

/** How a server differs from a plain one. */
export interface ServedOptions {
  /** Network namespace that it and all that it starts are in. */
  readonly namespace?: string;
  readonly address?: string;
  /** Programs that are not to be found there. */
  readonly without?: readonly string[];
  /** Lines of its configuration before all others. */
  readonly settings?: readonly string[];
}

/** Ssh servers, with one client's configuration and key for all. */
export class SshServers {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-ssh-'));
  /** For `ssh -F`. */
  readonly configFile = join(this.folder, 'config');
  readonly keyFile = join(this.folder, 'key');
  readonly #servers: ChildProcess[] = [];
  readonly #homes: string[] = [];

  constructor() {
    mkdirSync('/run/sshd', { recursive: true });
    this.makeKey('key');
    writeFileSync(join(this.folder, 'known_hosts'), '');
    writeFileSync(this.configFile, '');
  }

  /** Makes a pair of keys in the folder. */
  makeKey(name: string): string {
    const file = join(this.folder, name);
    const { status } = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
    assert.equal(status, 0, 'ssh-keygen');
    return file;
  }

  /** Starts a server; resolves once it listens. Its host key is known to the client. */
  async serve(name: string, options: ServedOptions = {}): Promise<Served> {
    const { namespace, address = '127.0.0.1', without = [], settings = [] } = options;
    const port = namespace === undefined ? await freePort() : 22;
    const home = join(this.folder, `home of ${name}`);
    mkdirSync(home, { recursive: true });
    const sockets = mkdtempSync('/tmp/ls-tmux-');
    this.#homes.push(sockets);
    const hostKey = this.makeKey(`${name}-host-key`);
    chmodSync(hostKey, 0o600);
    const file = join(this.folder, `${name}-sshd`);
    const lines = [
      ...settings,
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${this.keyFile}.pub`,
      ...['UsePAM no', 'StrictModes no', 'PermitRootLogin prohibit-password', 'PidFile none'],
      'PasswordAuthentication no',
      `SetEnv "HOME=${home}" TMUX_TMPDIR=${sockets} PATH=${this.#programs(name, without)}`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const wrapper = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
    const [program, ...words] = [...wrapper, SSHD, '-D', '-f', file, '-E', `${file}.log`];
    this.#servers.push(spawn(program, words, { stdio: 'ignore' }));
    const log = (): string => readFileSync(`${file}.log`, { encoding: 'utf8', flag: 'a+' });
    await waitFor(`${name} to listen: ${log()}`, () => /Server listening/.test(log()), 10_000);
    const served = { name, home, port, address };
    this.know(served, hostKey);
    return served;
  }

  /** Tells the client of a host, with its key. */
  know({ name, port, address }: Served, hostKey: string): void {
    const place = port === 22 ? address : `[${address}]:${port}`;
    const key = readFileSync(`${hostKey}.pub`, 'utf8');
    append(join(this.folder, 'known_hosts'), `${place} ${key}`);
    this.configure(name, [`HostName ${address}`, `Port ${port}`, `IdentityFile ${this.keyFile}`]);
  }

  /** Adds a host to the client's configuration. */
  configure(name: string, lines: readonly string[]): void {
    const all = [
      ...lines,
      `UserKnownHostsFile ${join(this.folder, 'known_hosts')}`,
      'GlobalKnownHostsFile /dev/null',
      'IdentitiesOnly yes',
      'StrictHostKeyChecking yes',
    ];
    append(this.configFile, `Host ${name}\n${all.map((line) => `  ${line}\n`).join('')}`);
  }

  /** The same programs as here, Node.js too, but for some. */
  #programs(name: string, without: readonly string[]): string {
    const folders = [join(process.execPath, '..'), '/usr/bin', '/bin', '/usr/sbin', '/sbin'];
    if (without.length === 0) return folders.join(':');
    const links = join(this.folder, `programs-of-${name}`);
    mkdirSync(links);
    for (const folder of folders)
      for (const program of readdirSync(folder))
        if (!without.includes(program) && !existsSync(join(links, program)))
          symlinkSync(join(folder, program), join(links, program));
    return links;
  }

  /** Ends the servers and all tmux servers that were started through them. */
  async close(): Promise<void> {
    for (const sockets of this.#homes) {
      spawnSync('tmux', ['kill-server'], { env: { ...process.env, TMUX_TMPDIR: sockets } });
      rmSync(sockets, { recursive: true, force: true });
    }
    for (const server of this.#servers) server.kill('SIGTERM');
    await Promise.all(
      this.#servers.map(
        async (server) =>
          new Promise<void>((done) =>
            server.exitCode === null && server.signalCode === null
              ? server.once('exit', () => done())
              : done(),
          ),
      ),
    );
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function append(file: string, text: string): void {
  writeFileSync(file, text, { flag: 'a' });
}

/** A port that nobody has now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  await new Promise<void>((closed) => server.close(() => closed()));
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}
