/** Finds out what a compute node speaks, and links to it accordingly. */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/connection.ts';
import type { Address } from '../transport/tcp.ts';
import type { Mode } from './job-spec.ts';
import { NativeLink } from './native-link.ts';
import { nodeName } from './node-list.ts';
import type { OpenLink } from './pooled-node.ts';
import { SeedLink } from './seed-link.ts';
import type { NodeLink, NodeLinkHandlers, Task, TaskOutcome } from './task.ts';
import { askDialect, type Dialect } from './thrift/call.ts';

const CONNECT_MS = 3_000;

/** How addresses are reached. */
export interface Dialler {
  connect(address: Address, timeoutMs: number): Promise<Connection>;
  connectBytes(address: Address, timeoutMs: number): Promise<ByteStream>;
}

/** Links through `dialler`; `mayReject`: whether busy nodes may refuse tasks. */
export function createOpenLink(dialler: Dialler, clock: Clock, mayReject: boolean): OpenLink {
  const known = new Map<string, Dialect>();
  const link = async (address: Address, handlers: NodeLinkHandlers): Promise<NodeLink> => {
    const dialect =
      known.get(nodeName(address)) ??
      (await askDialect(await dialler.connectBytes(address, CONNECT_MS), clock));
    known.set(nodeName(address), dialect);
    if (dialect === 'lockstep')
      return new NativeLink(await dialler.connect(address, CONNECT_MS), clock, handlers, mayReject);
    return new SeedLink(
      () => dialler.connectBytes(address, CONNECT_MS),
      clock,
      handlers,
      mayReject ? 2 : 1,
    );
  };
  return (address, handlers) => {
    const forgetful: NodeLinkHandlers = {
      onReady: () => handlers.onReady(),
      onLost: (reason) => {
        // Something else may be started there in the meantime.
        known.delete(nodeName(address));
        handlers.onLost(reason);
      },
    };
    return new OpeningLink(() => link(address, forgetful), forgetful);
  };
}

/** A link from the first try to reach the node on. */
class OpeningLink implements NodeLink {
  #link: NodeLink | undefined;
  #isClosed = false;

  constructor(open: () => Promise<NodeLink>, handlers: NodeLinkHandlers) {
    open().then(
      (link) => {
        this.#link = link;
        if (this.#isClosed) link.close();
      },
      (error: unknown) => {
        if (!this.#isClosed) handlers.onLost(messageOf(error));
      },
    );
  }

  can(mode: Mode): boolean {
    return this.#link?.can(mode) === true;
  }

  run(task: Task, done: (outcome: TaskOutcome) => void): void {
    this.#link?.run(task, done);
  }

  cancel(): void {
    this.#link?.cancel();
  }

  close(): void {
    this.#isClosed = true;
    this.#link?.close();
  }
}
