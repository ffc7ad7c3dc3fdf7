/** What the computing time of one rank in a step went into. */
import type { ComputeParts } from '../../metrics/events.ts';
import type { Contribution, MicroBatchRecord } from '../../protocol/messages.ts';

/** Sums up what a rank tells of a step, and remembers how fast it evaluates. */
export class PartsOfRank {
  #dataMs = 0;
  #graphMs = 0;
  #quantiseMs = 0;
  #updateMs = 0;
  #samples = 0;
  #isTold = false;
  /** What the last evaluation took one lane for a sample: the forward half, and nothing else. */
  #evaluationMs: number | undefined;

  /** Its lanes share micro-batches out: what each of them takes passes at the same time. */
  add({ records, updateMs = 0 }: Contribution, lanes: number): void {
    const side = Math.max(1, Math.min(lanes, records.length));
    for (const { computeMs, dataMs, quantiseMs, sampleCount } of records) {
      if (dataMs === undefined || quantiseMs === undefined) continue;
      this.#isTold = true;
      this.#dataMs += dataMs / side;
      this.#quantiseMs += quantiseMs / side;
      this.#graphMs += Math.max(0, computeMs - dataMs - quantiseMs) / side;
      this.#samples += sampleCount / side;
    }
    this.#updateMs += updateMs;
  }

  /** Records of an evaluation. */
  evaluated(records: readonly MicroBatchRecord[]): void {
    const samples = records.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
    const ms = records.reduce((sum, { computeMs }) => sum + computeMs, 0);
    if (samples > 0) this.#evaluationMs = ms / samples;
  }

  /** Of the step that ends here; undefined if the rank has told nothing. */
  take(): ComputeParts | undefined {
    const forwardMs =
      this.#evaluationMs && Math.min(this.#graphMs, this.#evaluationMs * this.#samples);
    const parts = this.#isTold && {
      dataMs: inMicroseconds(this.#dataMs),
      graphMs: inMicroseconds(this.#graphMs),
      ...(forwardMs !== undefined && { forwardMs: inMicroseconds(forwardMs) }),
      quantiseMs: inMicroseconds(this.#quantiseMs),
      updateMs: inMicroseconds(this.#updateMs),
    };
    this.#dataMs = this.#graphMs = this.#quantiseMs = this.#updateMs = this.#samples = 0;
    this.#isTold = false;
    return parts || undefined;
  }
}

/** Milliseconds without digits that no clock has. */
function inMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
