/**
 * The last steps that this worker has committed by itself: its coordinator hears of them behind the
 * work, and may be gone by then. Who comes after it learns them from here.
 */
import type { GridMaxima } from '../plan/grid.ts';
import { type KeptState, MAX_OWN_STEPS, type StepAccount } from '../protocol/messages.ts';

/** Accounts of steps one after another, up to the last that was committed so. */
export class OwnSteps {
  #accounts: StepAccount[] = [];
  /** Updates done with the last of them. */
  #step = 0;
  #maxima: GridMaxima = [];

  /** A step is committed: `step` updates are done with it. */
  add(step: number, account: StepAccount, maxima: GridMaxima): void {
    if (step !== this.#step + 1) this.#accounts = [];
    this.#accounts.push(account);
    if (this.#accounts.length > MAX_OWN_STEPS) this.#accounts.shift();
    this.#step = step;
    this.#maxima = maxima;
  }

  /** What there is to tell of the steps up to `step` to somebody who knows those up to `known`. */
  since(known: number, step: number): Pick<KeptState, 'own' | 'maxima'> {
    const missing = step - known;
    if (missing <= 0 || step !== this.#step || missing > this.#accounts.length) return { own: [] };
    return { own: this.#accounts.slice(-missing), maxima: [...this.#maxima] };
  }
}
