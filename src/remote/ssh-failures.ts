/** What ssh says when it cannot do its work, and what to do about it. */
import { LockstepError } from '../base/errors.ts';
import type { SshTarget } from './host.ts';
import { quoteAll, quotePath } from './quote.ts';

/** Why a host could not be used. */
export type SshCause =
  | 'no-ssh'
  | 'unknown-host'
  | 'refused'
  | 'unreachable'
  | 'timed-out'
  | 'no-key'
  | 'key-unreadable'
  | 'host-key-unknown'
  | 'host-key-changed'
  | 'too-much'
  | 'ended';

/** A host that could not be reached, or a connection that ended before the command did. */
export class HostError extends LockstepError {
  readonly reason: SshCause;
  readonly what: string;
  /** What to do, in one sentence; also the end of the message. */
  readonly remedy: string;

  constructor(host: string, reason: SshCause, what: string, remedy: string) {
    super('HOST_FAILED', `${host}: ${what}. ${remedy}`, { host, reason });
    this.reason = reason;
    this.what = what;
    this.remedy = remedy;
  }
}

interface Failure {
  readonly pattern: RegExp;
  readonly reason: SshCause;
  readonly what: string;
  /** Of a host, and all that ssh said. */
  readonly remedy: (host: SshTarget, said: string) => string;
}

/** The first that matches counts: a changed key is also a failed verification. */
const FAILURES: readonly Failure[] = [
  {
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    reason: 'host-key-changed',
    what: 'its host key is not the one that is known',
    remedy: (host, said) =>
      `If it was installed anew, forget the old key: ${forgetting(host, said)}, and connect once ` +
      'by hand; else somebody may be in between',
  },
  {
    pattern: /Host key verification failed|No .* host key is known/,
    reason: 'host-key-unknown',
    what: 'its host key is not known here yet',
    remedy: ({ target }) => `Connect once by hand, and compare the key: ssh ${target}`,
  },
  {
    pattern: /Could not resolve hostname|Name or service not known|nodename nor servname/,
    reason: 'unknown-host',
    what: 'there is no host of this name',
    remedy: ({ target }) =>
      `Write its address, or give ${target} one in ~/.ssh/config (Host, HostName)`,
  },
  {
    pattern: /Identity file .* not accessible: No such file/,
    reason: 'key-unreadable',
    what: 'the private key is not there',
    remedy: ({ identity = '~/.ssh/id_ed25519', target }) =>
      `Write where it is, or make it: ssh-keygen -t ed25519 -f ${quotePath(identity)}, then ` +
      `ssh-copy-id -i ${quotePath(`${identity}.pub`)} ${target}`,
  },
  {
    pattern: /UNPROTECTED PRIVATE KEY|Load key .*(?:denied|invalid|error)|Identity file .* not acc/,
    reason: 'key-unreadable',
    what: 'the private key cannot be used',
    remedy: ({ identity }) =>
      `It must be a key, and readable by you alone: chmod 600 ${
        identity === undefined ? '~/.ssh/id_ed25519' : quotePath(identity)
      }`,
  },
  {
    pattern: /Permission denied|Too many authentication failures/,
    reason: 'no-key',
    what: 'it takes none of our keys',
    remedy: ({ target }) =>
      `Give it yours: ssh-copy-id ${target}; a key with a passphrase must be in the agent: ssh-add`,
  },
  {
    pattern: /Connection refused/,
    reason: 'refused',
    what: 'it is there, and takes no connections of ssh',
    remedy: () =>
      'Start its ssh server (macOS: Settings, General, Sharing, Remote Login; Debian: ' +
      'apt install openssh-server), or correct the port',
  },
  {
    pattern: /timed out|Timeout/i,
    reason: 'timed-out',
    what: 'it does not answer',
    remedy: () => 'Is it on, awake and in this network? A firewall may drop what it is sent',
  },
  {
    pattern: /No route to host|Network is unreachable|Host is down/,
    reason: 'unreachable',
    what: 'there is no way to it',
    remedy: () =>
      'Is it on and in this network? On macOS your terminal may lack the permission: ' +
      'Settings, Privacy & Security, Local Network',
  },
];

/** The command that forgets the key of a host, in the file and under the name that ssh tells. */
function forgetting({ target }: SshTarget, said: string): string {
  const [, file] = /^Offending .*key in (.+):\d+\s*$/m.exec(said) ?? [];
  const [, name = target] = /^Host key for (\S+) has changed/m.exec(said) ?? [];
  return quoteAll(['ssh-keygen', ...(file === undefined ? [] : ['-f', file]), '-R', name]);
}

/** The error for what ssh said when it ended with 255. */
export function sshFailure(host: SshTarget, stderr: string): HostError {
  const failure = FAILURES.find(({ pattern }) => pattern.test(stderr));
  if (failure !== undefined) {
    const { reason, what, remedy } = failure;
    return new HostError(host.name, reason, what, remedy(host, stderr));
  }
  const words = stderr.trim().split('\n').at(-1)?.trim() ?? '';
  return new HostError(
    host.name,
    'ended',
    `ssh ended early${words === '' ? '' : `: ${words.slice(0, 300)}`}`,
    `Try it by hand: ssh ${host.target} true`,
  );
}

/** The error for a command that took longer than it may. */
export function timedOut(host: SshTarget, deadlineMs: number): HostError {
  return new HostError(
    host.name,
    'timed-out',
    `no answer within ${Math.round(deadlineMs / 100) / 10} s`,
    'Is it awake, and its disk free to answer?',
  );
}

/** The error for a host that says more than was asked. */
export function saidTooMuch(host: SshTarget, limitBytes: number): HostError {
  return new HostError(
    host.name,
    'too-much',
    `expected an answer of at most ${limitBytes} bytes, got more`,
    'Does a start-up file of its shell print something?',
  );
}

/** The error for a machine, this one, without ssh. */
export function noSsh(program: string, why: string): HostError {
  return new HostError(
    'this machine',
    'no-ssh',
    `${program} cannot be started (${why})`,
    'Install the OpenSSH client (Debian: apt install openssh-client)',
  );
}
