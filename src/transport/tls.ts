/**
 * TLS 1.3 between two ends that know the same key: no certificates, and nobody in between reads,
 * alters or replays a byte. Who has another key fails in the handshake, and so does who names one
 * that does not exist: the other end cannot tell which it was.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  connect,
  type ConnectionOptions,
  type SecureContextOptions,
  TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { ProtocolError } from '../base/errors.ts';

/** Bytes of a key. */
export const KEY_BYTES = 32;
/** A TLS connection begins with it: a record of the handshake. */
export const FIRST_TLS_BYTE = 0x16;
/** Characters of an identity. */
const MAX_IDENTITY = 128;

/** A key, and the name under which the other end knows it. */
export interface SharedKey {
  readonly identity: string;
  readonly key: Uint8Array;
}

/** Gives the key of an identity; undefined if there is none. */
export type KeyOf = (identity: string) => Uint8Array | undefined;

/** An accepted socket after its handshake, and who it is. */
export interface SecuredSocket {
  readonly socket: Socket;
  readonly identity: string;
}

// A key without a hash of its own belongs to SHA-256, in TLS 1.3.
const SETTINGS: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
};

/** The accepting side of a handshake on `raw`, which ends it with an error if the key is wrong. */
export async function acceptTls(raw: Socket, keyOf: KeyOf): Promise<SecuredSocket> {
  let identity = '';
  // A socket takes it as a server does, which the types do not say.
  const pskCallback: TlsOptions['pskCallback'] = (_socket, claimed) => {
    identity = claimed;
    const key = claimed.length <= MAX_IDENTITY ? keyOf(claimed) : undefined;
    return Buffer.from(key ?? randomBytes(KEY_BYTES));
  };
  const socket = new TLSSocket(raw, { ...SETTINGS, isServer: true, ...{ pskCallback } });
  await handshake(socket, raw, 'secure');
  return { socket, identity };
}

/** The calling side of a handshake on `raw`; fails if the other end has another key, or none. */
export async function callTls(raw: Socket, { identity, key }: SharedKey): Promise<Socket> {
  const options: ConnectionOptions = {
    ...SETTINGS,
    socket: raw,
    pskCallback: () => ({ identity, psk: Buffer.from(key) }),
    // Asked about who shows a certificate and not that it has the key: anybody in between may have
    // a good one.
    checkServerIdentity: () => new ProtocolError('a certificate, where it must have the key'),
    ca: [],
  };
  const socket = connect(options);
  await handshake(socket, raw, 'secureConnect');
  return socket;
}

/**
 * Bytes that both ends of this TLS connection have, and that no other connection has: not those of
 * somebody in between who holds the same key and has made one with each end. Undefined without TLS.
 * Source: RFC 9266 and RFC 8446, section 7.5.
 */
export function bindingOf(socket: Socket): Uint8Array | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return socket.exportKeyingMaterial(KEY_BYTES, 'EXPORTER-lockstep-binding', Buffer.alloc(0));
}

async function handshake(socket: TLSSocket, raw: Socket, done: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error?: Error): void =>
      reject(error ?? new Error('the connection ended during the handshake'));
    const ended = (): void => fail();
    // The error of the raw socket is one of the handshake, too; a late one has nobody to tell.
    socket.on('error', fail);
    raw.on('error', fail);
    socket.once('close', ended);
    socket.once(done, () => {
      socket.removeListener('error', fail);
      socket.removeListener('close', ended);
      resolve();
    });
  });
}
