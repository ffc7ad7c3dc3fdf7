/** What one membership of a worker was told about groups, and has said. */
import type { ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';

/** Passes that are granted from `pass` on, to `generation` or to a worker that is alone. */
interface Start {
  readonly pass: number;
  readonly generation: number | undefined;
}

/** Both sides of a conversation, in the order of sending. */
export class Conversation {
  /** The worker, with the number of its membership. */
  readonly name: string;
  /** The group that it was last told of. */
  generation = -1;
  /** Generation of each pass that it was asked to add up. */
  readonly reduces = new Map<number, number>();
  /** Passes of which it is known to have the total. */
  readonly added = new Set<number>();
  /** Generations that are over, as it was told, and as it has answered. */
  readonly fences = new Set<number>();
  readonly fenced = new Set<number>();
  readonly #planned = new Set<number>();
  readonly #starts: Start[] = [];
  /** The last granted pass that it has contributed to. */
  #contributed = -1;

  constructor(name: string) {
    this.name = name;
  }

  /** The generation in which a pass is added up; undefined if it is not, as far as is known. */
  generationOf(pass: number): number | undefined {
    return this.reduces.get(pass) ?? this.grantedTo(pass);
  }

  /** The generation that was granted a pass. */
  grantedTo(pass: number): number | undefined {
    if (this.#planned.has(pass)) return undefined;
    return this.#starts.findLast((start) => start.pass <= pass)?.generation;
  }

  /** Whether `pass` can be the last of which it has the total. */
  mayHave(pass: number): boolean {
    const last = Math.max(-1, ...this.added);
    return pass === last || (pass > last && pass === this.#contributed);
  }

  /** The coordinator sends a message. */
  told(message: ToWorker): void {
    if (message.kind === 'group') this.generation = message.generation;
    else if (message.kind === 'fence') this.fences.add(message.generation);
    else if (message.kind === 'reduce') this.reduces.set(message.pass, this.generation);
    else if (message.kind === 'plan') this.#planned.add(message.pass);
    else if (message.kind === 'grant' && message.start !== undefined) {
      const { pass, group } = message.start;
      this.#starts.push({ pass, generation: group?.generation });
    }
  }

  /** The worker sends a message. */
  said(message: ToCoordinator): void {
    if (message.kind === 'reduced') this.added.add(message.pass);
    else if (message.kind === 'fenced') this.fenced.add(message.generation);
    else if (message.kind === 'contribution') this.#contribute(message.pass);
  }

  /** Who contributes to a granted pass has the totals of those before. */
  #contribute(pass: number): void {
    const generation = this.grantedTo(pass);
    if (generation === undefined) return;
    this.#contributed = pass;
    if (this.grantedTo(pass - 1) === generation) this.added.add(pass - 1);
  }
}
