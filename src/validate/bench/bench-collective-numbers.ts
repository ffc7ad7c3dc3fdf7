/** What the ranks of a collective benchmark add up. */

/** An odd number, so that neighbours differ in every bit sooner or later. */
const STRIDE = 0x9e3779b1;
const SALT = 0x85ebca6b;

/**
 * Fills `target` with what `rank` contributes in a round: other numbers for every rank and round.
 */
export function fillContribution(target: Int32Array, rank: number, round: number): void {
  const salt = saltOf(rank, round);
  for (let index = 0; index < target.length; index++)
    target[index] = Math.imul(index, STRIDE) + salt;
}

/** Whether `total` is the sum modulo 2^32 of all workers' contributions to a round. */
export function isTotal(total: Int32Array, workers: number, round: number): boolean {
  const stride = Math.imul(STRIDE, workers);
  let salt = 0;
  for (let rank = 0; rank < workers; rank++) salt += saltOf(rank, round);
  for (let index = 0; index < total.length; index++) {
    if (total[index] !== ((Math.imul(index, stride) + salt) | 0)) return false;
  }
  return true;
}

function saltOf(rank: number, round: number): number {
  return Math.imul(SALT + rank, 2 * round + 1);
}
