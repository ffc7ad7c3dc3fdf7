/** System errors of sockets become ours here and nowhere else. */
import { messageOf, PeerLostError } from '../base/errors.ts';
import { shortageOf } from '../base/shortage.ts';

/** What keeps a connection from coming about, where the system's code alone says little. */
const NO_WAY: Readonly<Record<string, string>> = {
  ENOTFOUND: 'nobody knows this name (ENOTFOUND)',
  EAI_AGAIN: 'no name server answers (EAI_AGAIN)',
  EHOSTUNREACH: 'no way leads there, or the host is off (EHOSTUNREACH)',
  ENETUNREACH: 'no way leads there (ENETUNREACH)',
};

/** The error of an open or opening connection to `peer`, with the system's code in its context. */
export function fromSystemError(error: Error & { code?: string }, peer: string): PeerLostError {
  const { code = '' } = error;
  const words = shortageOf(error) ?? (Object.hasOwn(NO_WAY, code) ? NO_WAY[code] : undefined);
  return new PeerLostError(
    `connection to ${peer}: ${words ?? error.code ?? error.message}`,
    { systemCode: error.code },
    { cause: error },
  );
}

/**
 * The error of a door that could not be opened at the given address, with the remedy; `flag` is
 * what its port is chosen by.
 */
export function cannotListen(
  error: Error & { code?: string },
  { host, port }: { readonly host: string; readonly port: number },
  flag = '--port',
): PeerLostError {
  const remedy =
    error.code === 'EADDRINUSE'
      ? `port ${port} is in use. Stop the program that holds it, or choose another with ${flag} ` +
        '(0 takes any free one).'
      : error.code === 'EACCES'
        ? `port ${port} needs more rights. Choose one above 1023 with ${flag}.`
        : error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND'
          ? `${host} is not an address of this machine. Use 127.0.0.1 or one that this machine has.`
          : (shortageOf(error) ?? messageOf(error));
  return new PeerLostError(
    `listening on ${host}:${port}: ${remedy}`,
    { systemCode: error.code, host, port },
    { cause: error },
  );
}
