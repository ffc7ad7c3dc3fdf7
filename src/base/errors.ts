import { printable } from './printable.ts';

/** The codes a user or a script can rely on; each is explained in docs/errors.md. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'DATA_INVALID'
  | 'SHAPE_MISMATCH'
  | 'GRAPH_UNSUPPORTED'
  | 'RUNTIME_FAILED'
  | 'PROTOCOL_INVALID'
  | 'PEER_LOST'
  | 'COLLECTIVE_TIMEOUT'
  | 'RENDEZVOUS_FAILED'
  | 'ACCESS_DENIED'
  | 'NON_FINITE'
  | 'DIVERGED'
  | 'CHECKPOINT_INVALID'
  | 'FILE_FAILED'
  | 'OUT_OF_RESOURCES'
  | 'HOST_FAILED'
  | 'INTERNAL';

/** What an error says: a line, or several. */
export type ErrorMessage = string | readonly string[];

/** Characters of a line of a message. */
const MAX_LINE = 4_000;

/** Facts about an error for logs and `--json`; never needed to understand the message. */
export type ErrorContext = Readonly<Record<string, unknown>>;

/**
 * Base of the errors that Lockstep raises: a stable `code`, a message, facts for programs. Messages
 * quote peers and files, and go to terminals, logs and CI systems: each of their lines is made
 * printable here, and a line break that was quoted begins no other.
 */
export class LockstepError extends Error {
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(
    code: ErrorCode,
    message: ErrorMessage,
    context: ErrorContext = {},
    options?: ErrorOptions,
  ) {
    super(textOf(message), options);
    this.name = new.target.name;
    this.code = code;
    this.context = context;
  }
}

/** One thing wrong with what the user gave: where, what was expected, what came. */
export interface ConfigIssue {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

/** Flags, YAML or arguments that cannot be used. Exit code 2. */
export class ConfigError extends LockstepError {
  constructor(message: ErrorMessage, issues: readonly ConfigIssue[] = [], options?: ErrorOptions) {
    super('CONFIG_INVALID', message, { issues }, options);
  }
}

/** A data file that is missing, truncated, tampered with or of another shape than it says. */
export class DataError extends LockstepError {
  constructor(message: ErrorMessage, context: ErrorContext = {}, options?: ErrorOptions) {
    super('DATA_INVALID', message, context, options);
  }
}

/** Shapes that do not fit each other while a graph is built. */
export class ShapeError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}) {
    super('SHAPE_MISMATCH', message, context);
  }
}

/** A graph that cannot be read, differentiated or trusted. */
export class GraphError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}, options?: ErrorOptions) {
    super('GRAPH_UNSUPPORTED', message, context, options);
  }
}

/** ONNX Runtime refused a model or failed while running it. */
export class RuntimeError extends LockstepError {
  constructor(message: ErrorMessage, context: ErrorContext = {}, options?: ErrorOptions) {
    super('RUNTIME_FAILED', message, context, options);
  }
}

/** Bytes on a connection that are not ours, or a message that does not belong there. */
export class ProtocolError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}) {
    super('PROTOCOL_INVALID', message, context);
  }
}

/** A connection ended early, or never came about. */
export class PeerLostError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}, options?: ErrorOptions) {
    super('PEER_LOST', message, context, options);
  }
}

/** A group that did not form, or a worker that was refused. */
export class RendezvousError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}, options?: ErrorOptions) {
    super('RENDEZVOUS_FAILED', message, context, options);
  }
}

/** A token, link or credential that opens no door, or a door that wants one. */
export class AccessError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}, options?: ErrorOptions) {
    super('ACCESS_DENIED', message, context, options);
  }
}

/** A loss or gradient that is NaN or infinite; raised before the optimizer update. */
export class NonFiniteError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}) {
    super('NON_FINITE', message, context);
  }
}

/** A loss that has gone far away from the first one, in a run that is to end then. */
export class DivergedError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}) {
    super('DIVERGED', message, context);
  }
}

/** This machine or process has too little memory, or too many open files. */
export class ShortageError extends LockstepError {
  constructor(message: string, context: ErrorContext = {}, options?: ErrorOptions) {
    super('OUT_OF_RESOURCES', message, context, options);
  }
}

/**
 * Whether a connection ended by a failure of our own: neither the peer's bytes nor the way to it
 * were wrong, and it is to be told so.
 */
export function isOurFailure(error: LockstepError): boolean {
  return !(error instanceof ProtocolError || error instanceof PeerLostError);
}

function textOf(message: ErrorMessage): string {
  const lines = typeof message === 'string' ? [message] : message;
  return lines.map((line) => printable(line, MAX_LINE)).join('\n');
}

/** A programmer's mistake: never the user's. Throws `INTERNAL` when `condition` is false. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new LockstepError('INTERNAL', `internal error: ${message}`);
}

/** What went wrong, in words, from anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
