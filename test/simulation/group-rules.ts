/**
 * What must hold of groups in every history, as far as it can be seen from outside: from the
 * messages of the coordinator and of all workers, and from what engines apply.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Commit, ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';
import { Conversation } from './conversation.ts';
import { type GrantCounts, GrantRules } from './grant-rules.ts';
import type { HistoryOptions } from './simulated-cluster.ts';
import { SimulatedEngine } from './simulated-engine.ts';

/** The numbers of each step's update, and its total, as the undisturbed run has them. */
export type Updates = ReadonlyMap<number, string>;

/** How often what happened in a history. */
export interface GroupCounts extends GrantCounts {
  /** Generations. */
  groups: number;
  /** Passes that the coordinator had a group add up. */
  reduces: number;
  /** Of those, what was fenced in the middle of it: since some had the total, the step counted. */
  fencesWithTotal: number;
  /** Nobody had it, and the same pass went on through the coordinator. */
  fencesWithout: number;
  /** States that workers got from each other, and that they could not get. */
  handOvers: number;
  failedHandOvers: number;
  /** Updates that engines made by themselves, by the total of a group. */
  ownUpdates: number;
}

/** Watches one history, and throws as soon as a rule is broken. */
export class GroupRules {
  readonly #counts = {
    reduces: 0,
    fencesWithTotal: 0,
    fencesWithout: 0,
    handOvers: 0,
    failedHandOvers: 0,
    ownUpdates: 0,
  };
  readonly updates = new Map<number, string>();
  readonly #expected: Updates | undefined;
  readonly #conversations = new Map<string, Conversation>();
  /** Of each worker that of its last membership. */
  readonly #latest = new Map<string, Conversation>();
  readonly #grants = new GrantRules();
  /** Of each pass, the step and the numbers that it leads to. */
  readonly #passes = new Map<number, string>();
  /** What the coordinator has a group add up, or did last. */
  #adding = { pass: -1, step: -1, isFenced: false };
  /** Passes of which the coordinator has sent totals. */
  readonly #starPasses = new Set<number>();
  readonly #generations = new Set<number>();

  /** `expected`: absent in the undisturbed run itself. */
  constructor(expected?: Updates) {
    this.#expected = expected;
  }

  get counts(): GroupCounts {
    return { ...this.#counts, ...this.#grants.counts(), groups: this.#generations.size };
  }

  /** What a cluster is to be given besides `options`, whose own listeners hear first. */
  watch(
    options: Partial<HistoryOptions>,
  ): Pick<HistoryOptions, 'onSentToWorker' | 'onSentToCoordinator' | 'wrapEngine'> {
    return {
      onSentToWorker: (worker, message, membership) => {
        options.onSentToWorker?.(worker, message, membership);
        this.#hearCoordinator(this.#of(worker, membership), message);
      },
      onSentToCoordinator: (worker, message, membership, payload) => {
        options.onSentToCoordinator?.(worker, message, membership, payload);
        this.#hearWorker(this.#of(worker, membership), message, payload);
      },
      wrapEngine: (create, handlers, worker) => {
        const engine = options.wrapEngine?.(create, handlers, worker) ?? create(handlers);
        const apply = engine.apply.bind(engine);
        // It has introduced itself before it makes its engine.
        const conversation = this.#latest.get(worker);
        engine.apply = (commit, totals, done) => {
          if (totals !== undefined) this.#checkUpdate(worker, commit, totals);
          if (conversation !== undefined) this.#checkGeneration(conversation, commit);
          apply(commit, totals, done);
        };
        if (engine instanceof SimulatedEngine)
          engine.onOwnUpdate = (commit, total) => {
            this.#counts.ownUpdates++;
            this.#checkUpdate(worker, commit, new Uint8Array(total.buffer));
            if (conversation !== undefined) this.#checkGeneration(conversation, commit);
          };
        return engine;
      },
    };
  }

  #of(worker: string, membership: number): Conversation {
    const name = `${worker} (${membership})`;
    const known = this.#conversations.get(name);
    if (known !== undefined) return known;
    const conversation = new Conversation(name);
    this.#conversations.set(name, conversation);
    this.#latest.set(worker, conversation);
    return conversation;
  }

  #hearCoordinator(conversation: Conversation, message: ToWorker): void {
    conversation.told(message);
    this.#grants.hearCoordinator(message);
    if (message.kind === 'group') this.#generations.add(message.generation);
    else if (message.kind === 'fence') this.#hearFence(conversation, message.generation);
    else if (message.kind === 'reduce') this.#hearReduce(conversation, message);
    else if (message.kind === 'commit') this.#hearCommit(message);
    else if (message.kind === 'plan') this.#hearPlan(conversation, message);
  }

  #hearFence({ reduces, added }: Conversation, generation: number): void {
    const { pass } = this.#adding;
    if (reduces.get(pass) === generation && !added.has(pass)) this.#adding.isFenced = true;
  }

  #hearReduce(
    { generation, fences }: Conversation,
    message: Extract<ToWorker, { kind: 'reduce' }>,
  ): void {
    const { pass, step } = message;
    this.#checkPass(message);
    assert.ok(!this.#starPasses.has(pass), `pass ${pass} was not committed before`);
    assert.ok(!fences.has(generation), 'nobody adds up in a fenced generation');
    if (this.#adding.pass === pass) return;
    this.#counts.reduces++;
    this.#adding = { pass, step, isFenced: false };
  }

  #hearCommit(commit: Commit): void {
    this.#checkPass(commit);
    this.#starPasses.add(commit.pass);
    if (commit.pass === this.#adding.pass) this.#endFence('fencesWithout');
  }

  #hearPlan(conversation: Conversation, { pass, step }: Extract<ToWorker, { kind: 'plan' }>): void {
    this.#checkAnswered(conversation, pass);
    if (pass > this.#adding.pass && step === this.#adding.step + 1)
      this.#endFence('fencesWithTotal');
  }

  #endFence(outcome: 'fencesWithTotal' | 'fencesWithout'): void {
    if (this.#adding.isFenced) this.#counts[outcome]++;
    this.#adding.isFenced = false;
  }

  /** One pass leads to one step with one grid, the same for all. */
  #checkPass({ pass, step, exponents }: Pick<Commit, 'pass' | 'step' | 'exponents'>): void {
    const text = JSON.stringify({ step, exponents });
    assert.equal(this.#passes.get(pass) ?? text, text, `what pass ${pass} leads to`);
    this.#passes.set(pass, text);
  }

  /** Before a later pass begins, all that was to be added up is answered or fenced. */
  #checkAnswered({ reduces, added, fences }: Conversation, nextPass: number): void {
    for (const [pass, generation] of reduces) {
      const isOpen = !added.has(pass) && !fences.has(generation);
      assert.ok(
        pass >= nextPass || !isOpen,
        `pass ${pass} was not added up, and pass ${nextPass} begun`,
      );
    }
  }

  #hearWorker(of: Conversation, message: ToCoordinator, payload: Uint8Array): void {
    this.#grants.hearWorker(of, message, payload);
    if (message.kind === 'reduced') {
      const generation = of.generationOf(message.pass);
      assert.ok(generation !== undefined, `${of.name} adds up what it was asked to`);
      assert.ok(!of.fenced.has(generation), `${of.name} adds up ${message.pass} after a fence`);
    } else if (message.kind === 'fenced' && message.pass !== null) {
      const { pass, generation } = message;
      assert.equal(of.generationOf(pass), generation, `${of.name} tells of its generation`);
      assert.ok(of.mayHave(pass), `${of.name} tells of pass ${pass}, the last that it has`);
    } else if (message.kind === 'fetched')
      this.#counts[message.problem === undefined ? 'handOvers' : 'failedHandOvers']++;
    of.said(message);
  }

  /** Whatever any worker ever applies is what the undisturbed run has. */
  #checkUpdate(worker: string, commit: Commit, totals: Uint8Array): void {
    const { step, exponents, update } = commit;
    const digest = createHash('sha256').update(totals).digest('hex').slice(0, 16);
    const text = JSON.stringify({ exponents, update, digest });
    const expected = this.#expected?.get(step) ?? this.updates.get(step) ?? text;
    assert.equal(text, expected, `what ${worker} applies to state ${step}`);
    this.updates.set(step, text);
  }

  /** Nothing of a generation is applied once its worker has said how far it came. */
  #checkGeneration(conversation: Conversation, { pass, step }: Commit): void {
    if (this.#starPasses.has(pass)) return;
    const generation = conversation.generationOf(pass);
    if (generation === undefined) return;
    const { name, fenced } = conversation;
    assert.ok(!fenced.has(generation), `${name} applies pass ${pass} after its fence`);
    this.#grants.applied(conversation, pass, step);
  }
}
