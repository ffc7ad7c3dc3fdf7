/** Commands on hosts over a real ssh server, and what is said when they cannot run. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { SshTarget } from '../../src/remote/host.ts';
import { quoteAll } from '../../src/remote/quote.ts';
import { Ssh } from '../../src/remote/ssh.ts';
import type { HostError } from '../../src/remote/ssh-failures.ts';
import { reasonToSkipSsh, type Served, SshServers } from './ssh-server.ts';

describe('commands over ssh', { skip: reasonToSkipSsh() }, () => {
  let servers: SshServers;
  let served: Served;
  let ssh: Ssh;
  const host = (name: string, more: Partial<SshTarget> = {}): SshTarget => ({
    name,
    target: name,
    ...more,
  });
  const failureOf = async (target: SshTarget): Promise<HostError> =>
    ssh.run(target, 'true').then(
      () => assert.fail('it ran'),
      (error: HostError) => error,
    );

  before(async () => {
    servers = new SshServers();
    served = await servers.serve('mini1');
    ssh = new Ssh({ configFile: servers.configFile });
  });
  after(async () => {
    await ssh.close();
    await servers.close();
  });

  test('give what a command printed, its exit code, and take what it reads', async () => {
    const hostile = ["it's", '$HOME', '`id`', '\\', 'a\nb', '-n'];

    const said = await ssh.run(host('mini1'), `printf '%s|' ${quoteAll(hostile)}; exit 7`);
    const read = await ssh.run(host('mini1'), 'cat >secret && pwd', { stdin: 'a secret' });

    assert.equal(said.exitCode, 7);
    assert.deepEqual(said.stdout.split('|').slice(0, -1), hostile);
    assert.ok(existsSync(join(read.stdout.trim(), 'secret')));
  });

  test('share one connection, which is gone after close', async () => {
    const own = new Ssh({ configFile: servers.configFile });
    await own.run(host('mini1'), 'true');
    const path = own
      .commandLine(host('mini1'), 'true')
      .find((word) => word.startsWith('ControlPath='))!
      .replace('ControlPath=', '')
      .replace(/\/0$/, '');
    assert.equal(statSync(path).mode & 0o777, 0o700);

    await own.close();

    assert.equal(existsSync(path), false);
  });

  test('that take or say too much are ended', async () => {
    await assert.rejects(ssh.run(host('mini1'), 'sleep 60', { deadlineMs: 300 }), {
      reason: 'timed-out',
    });
    await assert.rejects(ssh.run(host('mini1'), 'yes', { limitBytes: 10_000 }), {
      reason: 'too-much',
    });
  });

  test('on a host that cannot be reached fail with cause and remedy', async () => {
    servers.configure('nowhere', ['HostName nowhere.invalid']);
    servers.configure('closed', ['HostName 127.0.0.1', 'Port 1']);
    servers.configure('stranger', [
      'HostName 127.0.0.1',
      `Port ${served.port}`,
      `HostKeyAlias nobody`,
      `IdentityFile ${servers.keyFile}`,
    ]);
    const changed = { ...served, name: 'changed' };
    writeFileSync(
      join(servers.folder, 'other_hosts'),
      `changed ssh-ed25519 ${Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0 ' + 'x'.repeat(32), 'latin1').toString('base64')}\n`,
    );
    servers.configure('changed', [
      ...['HostName 127.0.0.1', `Port ${changed.port}`, 'HostKeyAlias changed'],
      `UserKnownHostsFile ${join(servers.folder, 'other_hosts')}`,
    ]);
    const otherKey = servers.makeKey('other');
    const openKey = join(servers.folder, 'open');
    cpSync(servers.keyFile, openKey);
    chmodSync(openKey, 0o644);
    servers.configure('keyless', ['HostName 127.0.0.1', `Port ${served.port}`]);
    const at = { target: 'mini1' };

    const failures = [
      await failureOf(host('nowhere')),
      await failureOf(host('closed')),
      await failureOf(host('stranger', { target: 'stranger' })),
      await failureOf(host('changed')),
      await failureOf(host('denied', { target: 'keyless', identity: otherKey })),
      await failureOf(host('open', { target: 'keyless', identity: openKey })),
      await failureOf(host('gone', { target: 'keyless', identity: '/no/such key' })),
    ];

    assert.deepEqual(
      failures.map(({ reason }) => reason),
      [
        'unknown-host',
        'refused',
        'host-key-unknown',
        'host-key-changed',
        'no-key',
        'key-unreadable',
        'key-unreadable',
      ],
      failures.map(({ message }) => message).join('\n'),
    );
    assert.match(failures[3]!.message, /ssh-keygen -f \S+\/other_hosts -R changed, and connect/);
    assert.match(
      failures[6]!.message,
      /is not there\. .*ssh-keygen -t ed25519 -f '\/no\/such key'/,
    );
    assert.match(failures[5]!.message, /chmod 600/);
    await assert.rejects(new Ssh({ program: 'no-such-ssh' }).run(host('x', at), 'true'), {
      reason: 'no-ssh',
    });
  });

  test('to a host that accepts and says nothing time out', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
    const { port } = silent.address() as { port: number };
    servers.configure('silent', ['HostName 127.0.0.1', `Port ${port}`, 'ConnectTimeout 1']);

    try {
      await assert.rejects(ssh.run(host('silent'), 'true', { deadlineMs: 1_500 }), {
        reason: 'timed-out',
      });
    } finally {
      silent.close();
    }
  });
});
