import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sshFailure } from '../../remote/ssh-failures.ts';
import type { Problem } from './finding.ts';
import { explainSsh, type SshDestination } from './ssh-check.ts';

const MINI: SshDestination = { target: 'mini1', hostname: '10.0.0.3', port: '22', user: 'ann' };

/** What follows from what ssh said. */
function explain(stderr: string, more: Partial<SshDestination> = {}): Problem {
  return explainSsh(sshFailure({ name: 'mini1', target: 'mini1' }, stderr), { ...MINI, ...more });
}

describe('explainSsh', () => {
  test('forgets a changed host key in the file and under the name that ssh uses', () => {
    const said =
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.';
    const problem = explain(said, { port: '2222', knownHosts: "/home/ann's/known_hosts" });

    assert.equal(problem.id, 'ssh-host-key-changed');
    assert.match(problem.cause, /^its host key is not the one that is known/);
    assert.equal(
      problem.remedy.split('   # ')[0],
      "ssh-keygen -f '/home/ann'\\''s/known_hosts' -R '[10.0.0.3]:2222'",
    );
  });

  test('forgets it as ssh says where its configuration is not known', () => {
    const said =
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n' +
      'Offending ED25519 key in /home/ann/known:3\n' +
      'Host key for [10.0.0.3]:2222 has changed and you have requested strict checking.';

    const { remedy } = explainSsh(sshFailure({ name: 'mini1', target: 'mini1' }, said), {
      target: 'mini1',
    });

    assert.match(
      remedy,
      /: ssh-keygen -f \/home\/ann\/known -R '\[10\.0\.0\.3\]:2222', and connect/,
    );
  });

  test('gives a host the key that it lacks', () => {
    const said = 'ann@10.0.0.3: Permission denied (publickey).';

    assert.equal(explain(said).id, 'ssh-key-missing');
    assert.match(explain(said).remedy, /^ssh-copy-id ann@10\.0\.0\.3 /);
    assert.match(
      explain(said, { identity: '/k', port: '2222' }).remedy,
      /^ssh-copy-id -i \/k\.pub -p 2222 ann@10\.0\.0\.3 /,
    );
  });

  test('names every other cause, each with what to do', () => {
    const ids = [
      'Host key verification failed.',
      'ssh: Could not resolve hostname mini1: Name or service not known',
      'ssh: connect to host 10.0.0.3 port 22: Connection refused',
      'ssh: connect to host 10.0.0.3 port 22: No route to host',
      'ssh: connect to host 10.0.0.3 port 22: Connection timed out',
      'kex_exchange_identification: read: Connection reset by peer',
    ].map((said) => explain(said));

    assert.deepEqual(
      ids.map(({ id }) => id),
      [
        'ssh-host-key-unknown',
        'name-unknown',
        'ssh-refused',
        'host-unreachable',
        'host-silent',
        'ssh-failed',
      ],
    );
    assert.ok(ids.every(({ remedy, cause }) => remedy !== '' && !cause.includes(remedy)));
  });
});
