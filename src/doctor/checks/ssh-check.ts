/** Why a host is not reached over ssh. */
import { quote, quoteAll } from '../../remote/quote.ts';
import type { HostError, SshCause } from '../../remote/ssh-failures.ts';
import { failure, type Problem, type ProblemId } from './finding.ts';

/** What ssh makes of a host, with its configuration; as `ssh -G` says. */
export interface SshDestination {
  /** What the user wrote. */
  readonly target: string;
  readonly hostname?: string | undefined;
  readonly port?: string | undefined;
  readonly user?: string | undefined;
  readonly knownHosts?: string | undefined;
  readonly identity?: string | undefined;
}

const IDS: Readonly<Record<SshCause, ProblemId>> = {
  'no-ssh': 'ssh-missing',
  'unknown-host': 'name-unknown',
  refused: 'ssh-refused',
  unreachable: 'host-unreachable',
  'timed-out': 'host-silent',
  'no-key': 'ssh-key-missing',
  'key-unreadable': 'ssh-key-missing',
  'host-key-unknown': 'ssh-host-key-unknown',
  'host-key-changed': 'ssh-host-key-changed',
  'too-much': 'ssh-failed',
  ended: 'ssh-failed',
};

/** Says what ssh stumbled over, and the command for exactly this host. */
export function explainSsh({ reason, what, remedy }: HostError, to: SshDestination): Problem {
  const found = 'it is not reached over ssh';
  return failure(IDS[reason], found, what, remedyFor(reason, to) ?? remedy);
}

function remedyFor(reason: SshCause, settings: SshDestination): string | undefined {
  const { target, hostname = target, port = '22', user, knownHosts, identity } = settings;
  const place = port === '22' ? hostname : `[${hostname}]:${port}`;
  const login = user === undefined ? hostname : `${user}@${hostname}`;
  if (reason === 'host-key-changed') {
    // Without its configuration only ssh itself knows under which name it looked.
    if (settings.hostname === undefined) return undefined;
    const file = knownHosts === undefined ? [] : ['-f', knownHosts];
    const forget = quoteAll(['ssh-keygen', ...file, '-R', place]);
    return `${forget}   # if it was installed anew; then: ssh ${quote(target)}`;
  }
  if (reason === 'host-key-unknown') return `ssh ${quote(target)}   # once, and compare the key`;
  if (reason !== 'no-key') return undefined;
  const key = identity === undefined ? [] : ['-i', `${identity}.pub`];
  const words = ['ssh-copy-id', ...key, ...(port === '22' ? [] : ['-p', port]), login];
  return `${quoteAll(words)}   # a key with a passphrase: ssh-add`;
}
