/**
 * Who may look. A link lets one browser in, once; the browser then has a cookie. Programs have the
 * key of their user. Whatever another web page may have a browser ask for is refused.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Browsers that are let in; of more, the first is out. */
const MAX_SESSIONS = 64;
const KEY_BYTES = 32;
/** What this machine calls itself: addresses, not names that begin like one. */
const OWN_NAMES = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** What is wrong with a request, as an HTTP status and in words. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** Keys of links, and of browsers that are in. Only their hashes are kept. */
export class Gate {
  readonly #cookieName: string;
  readonly #userKey: Buffer | undefined;
  #linkKey: Buffer | undefined;
  readonly #sessions: Buffer[] = [];

  /**
   * `port` keeps the cookies of several dashboards of one machine apart. `userKey` opens for
   * programs.
   */
  constructor(port: number, userKey?: string) {
    this.#cookieName = `lockstep-${port}`;
    this.#userKey = userKey === undefined ? undefined : hashOf(userKey);
  }

  /** The key of a link that lets one browser in; the one before is void. */
  newLinkKey(): string {
    const key = randomBytes(KEY_BYTES).toString('base64url');
    this.#linkKey = hashOf(key);
    return key;
  }

  /** The cookie for who has the key of the link, which is void from then on. */
  enter(key: string): string | undefined {
    if (!isSame(this.#linkKey, hashOf(key))) return undefined;
    this.#linkKey = undefined;
    const secret = randomBytes(KEY_BYTES).toString('base64url');
    this.#sessions.push(hashOf(secret));
    if (this.#sessions.length > MAX_SESSIONS) this.#sessions.shift();
    return `${this.#cookieName}=${secret}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Whether a request comes from who was let in. */
  isIn({ cookie = '', authorization = '' }: IncomingHttpHeaders): boolean {
    const bearer = /^Bearer (\S+)$/i.exec(authorization)?.[1];
    if (bearer !== undefined) return isSame(this.#userKey, hashOf(bearer));
    const secrets = cookie
      .split(';')
      .map((part) => part.trim())
      .filter((part) => part.startsWith(`${this.#cookieName}=`))
      .map((part) => hashOf(part.slice(this.#cookieName.length + 1)));
    return secrets.some((secret) => this.#sessions.some((one) => isSame(one, secret)));
  }

  /** Why a request is not even looked at; undefined when it may be. */
  refuse(method: string, path: string, headers: IncomingHttpHeaders): Refusal | undefined {
    const { host = '', origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = headers;
    // A name of somebody else's that leads here is how a foreign page reads what is not its own.
    if (!isOwnName(host))
      return { status: 421, reason: `this is not ${host}: use the link that was printed` };
    const isReading = method === 'GET' || method === 'HEAD';
    // A link elsewhere may lead here; it brings no cookie, and shows nothing without one.
    const isLink = isReading && path === '/' && mode === 'navigate';
    const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none';
    const isFromElsewhere = origin !== undefined && origin !== `http://${host}`;
    const isUnsigned = !isReading && origin === undefined;
    return isFromElsewhere || isUnsigned || (isForeign && !isLink)
      ? { status: 403, reason: 'this comes from another page' }
      : undefined;
  }
}

/** Whether a host, with or without its port, is this machine's name for itself. */
function isOwnName(host: string): boolean {
  return OWN_NAMES.test(host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'));
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function isSame(a: Buffer | undefined, b: Buffer): boolean {
  return a !== undefined && timingSafeEqual(a, b);
}
