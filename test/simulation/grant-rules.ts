/** What must hold of steps that groups were granted, and how often what happened to them. */
import assert from 'node:assert/strict';
import { readNote } from '../../src/plan/attempt-note.ts';
import type { Group, ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';
import type { Conversation } from './conversation.ts';
import { TENSOR_COUNT } from './simulated-engine.ts';

/** Micro-batches of the simulated steps: the last one of an epoch is shorter. */
const MICRO_BATCHES = [11, 12];

/** How often what happened to granted steps of groups in a history. */
export interface GrantCounts {
  /** Steps that a group has committed by itself. */
  grantedSteps: number;
  /** Fences in the middle of granted steps. */
  grantedFences: number;
  /** Of those, at which members had come to different passes. */
  fencesApart: number;
  /** After an attempt of which nothing was applied, since its grid was too narrow. */
  fencesInRedo: number;
}

/** What was told of a generation that was fenced in the middle of granted steps. */
interface Ending {
  readonly heard: number;
  /** The last pass of each member that has answered. */
  readonly told: number[];
  /** Whether the last pass that was told of had numbers that are finite. */
  isFinite: boolean;
}

/** Watches what is granted to groups in one history. */
export class GrantRules {
  readonly #groups = new Map<number, Pick<Group, 'size' | 'noteBytes'>>();
  readonly #endings = new Map<number, Ending>();
  /** What members told each other, by generation and pass. */
  readonly #notes = new Map<string, string>();
  readonly #appliedPasses = new Set<number>();
  readonly #grantedSteps = new Set<number>();
  readonly #grantedPasses = new Set<number>();

  counts(): GrantCounts {
    const endings = [...this.#endings.values()];
    return {
      grantedSteps: this.#grantedSteps.size,
      grantedFences: endings.length,
      fencesApart: endings.filter(({ told }) => new Set(told).size > 1).length,
      fencesInRedo: endings.filter((ending) => this.#isInRedo(ending)).length,
    };
  }

  #isInRedo({ heard, told, isFinite }: Ending): boolean {
    const last = Math.max(heard, ...told);
    return isFinite && this.#grantedPasses.has(last) && !this.#appliedPasses.has(last);
  }

  /** The coordinator sends a message. */
  hearCoordinator(message: ToWorker): void {
    if (message.kind === 'group') this.#groups.set(message.generation, message);
    if (message.kind !== 'fence' || message.heard === undefined) return;
    const { generation, heard } = message;
    const ending = this.#endings.get(generation) ?? { heard, told: [], isFinite: true };
    assert.equal(heard, ending.heard, `what was heard of generation ${generation}`);
    this.#endings.set(generation, ending);
  }

  /** Hears a message before it is part of the conversation. */
  hearWorker(of: Conversation, message: ToCoordinator, payload: Uint8Array): void {
    if (message.kind === 'fenced') this.#hearFenced(of, message, payload);
    if (message.kind !== 'contribution') return;
    const generation = of.grantedTo(message.pass);
    if (generation === undefined) return;
    this.#grantedPasses.add(message.pass);
    const { name, fenced } = of;
    assert.ok(!fenced.has(generation), `${name} contributes to ${message.pass} after a fence`);
  }

  /** A worker applies a total of a generation. */
  applied(of: Conversation, pass: number, step: number): void {
    if (of.grantedTo(pass) === undefined) return;
    this.#appliedPasses.add(pass);
    this.#grantedSteps.add(step);
  }

  /** Whoever says how far it came hands over what all told each other since `heard`. */
  #hearFenced(
    { name }: Conversation,
    { generation, pass }: Extract<ToCoordinator, { kind: 'fenced' }>,
    payload: Uint8Array,
  ): void {
    const ending = this.#endings.get(generation);
    const { heard } = ending ?? {};
    const group = this.#groups.get(generation);
    if (ending === undefined || heard === undefined || group === undefined)
      return assert.equal(payload.length, 0, `${name}: nothing was granted`);
    const { size, noteBytes } = group;
    const count = Math.max(0, (pass ?? -1) - heard);
    assert.equal(payload.length, count * size * noteBytes, `${name}: notes on ${count} passes`);
    if (pass !== null) ending.told.push(pass);
    for (let i = 0; i < count; i++) {
      const notes = payload.subarray(i * size * noteBytes, (i + 1) * size * noteBytes);
      ending.isFinite &&= this.#checkNotes(`${generation} ${heard + 1 + i}`, notes, size);
    }
  }

  /** All tell the same of a pass, and of all its micro-batches. True if its numbers are finite. */
  #checkNotes(key: string, notes: Uint8Array, size: number): boolean {
    const text = Buffer.from(notes).toString('hex');
    assert.equal(this.#notes.get(key) ?? text, text, `notes on generation and pass ${key}`);
    this.#notes.set(key, text);
    const bytes = notes.length / size;
    const each = Array.from({ length: size }, (_, i) =>
      readNote(notes.subarray(i * bytes, (i + 1) * bytes), TENSOR_COUNT),
    );
    const microBatches = each.reduce((sum, { losses }) => sum + losses.length, 0);
    assert.ok(MICRO_BATCHES.includes(microBatches), `notes on ${microBatches} micro-batches`);
    return each.every(({ isFinite }) => isFinite);
  }
}
