/** What every worker did in a run, also those that are gone. */
import type { Member } from '../membership/member.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import type { CountedPart, Leaving, PassListener } from './steps/pass-listener.ts';

/** What one worker did in the run. */
export interface WorkerTally {
  readonly rank: number;
  readonly workerId: string;
  readonly host: string;
  readonly device: string;
  readonly lanes: number;
  readonly samples: number;
  readonly microBatches: number;
}

/** What a member has done of a step. */
type Done = Pick<CountedPart, 'member' | 'spec'> & {
  readonly contribution: { readonly records: readonly MicroBatchRecord[] };
};

const NOTHING = { samples: 0, microBatches: 0 };

/** Counts the training that was counted, by worker. */
export class Tallies implements PassListener {
  /** Of members that are there, since they joined. */
  readonly #present = new WeakMap<Member, { samples: number; microBatches: number }>();
  /** Of workers that are gone, by worker id. */
  readonly #gone = new Map<string, WorkerTally>();

  counted({ member, spec, contribution }: Done): void {
    if (spec.work !== 'train') return;
    const { records } = contribution;
    const before = this.#present.get(member) ?? NOTHING;
    this.#present.set(member, {
      samples: records.reduce((sum, { sampleCount }) => sum + sampleCount, before.samples),
      microBatches: before.microBatches + records.length,
    });
  }

  left({ how, member }: Leaving): void {
    // Who has done nothing is forgotten: strangers can come and go for ever.
    const hasWorked = this.#present.has(member) || this.#gone.has(member.workerId);
    if (how === 'lost' && hasWorked) this.keep(member);
  }

  /** Remembers what a member did before it goes. */
  keep(member: Member): void {
    if (member.isLoaded) this.#gone.set(member.workerId, this.#tallyOf(member));
  }

  /** What every worker did, in order of rank: those in `present`, and those that are gone. */
  of(present: readonly Member[]): WorkerTally[] {
    const all = new Map(this.#gone);
    for (const member of present)
      if (member.isLoaded) all.set(member.workerId, this.#tallyOf(member));
    return [...all.values()].sort((a, b) => a.rank - b.rank);
  }

  /** Together with what the same worker did before it had to join again. */
  #tallyOf(member: Member): WorkerTally {
    const { rank, workerId, hello } = member;
    const before = this.#gone.get(workerId) ?? NOTHING;
    const since = this.#present.get(member) ?? NOTHING;
    const samples = before.samples + since.samples;
    const microBatches = before.microBatches + since.microBatches;
    const { host, device = 'cpu', lanes } = hello;
    return { rank, workerId, host, device, lanes, samples, microBatches };
  }
}
