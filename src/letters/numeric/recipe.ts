/** How a compute node trains on one file: plain data, the same for every file of a job. */
export interface Recipe {
  /**
   * relu: max(x, 0).
   * seed: the seed system's: x forwards, so that the hidden layer is linear; backwards the gradient
   * of x < 0 is dropped.
   */
  readonly activation: 'relu' | 'seed';
  readonly optimizer: OptimizerRecipe;
  /** Passes over the file, at least 1. */
  readonly epochs: number;
  /** Learning rate. */
  readonly eta: number;
}

/** How the parameters move. */
type OptimizerRecipe =
  /**
   * One step per epoch by eta times the gradient summed (not averaged) over the whole file. It
   * stops early once the summed cross-entropy changes by no more than `stopBelow` from one epoch to
   * the next (0 or less: never).
   */
  | { readonly kind: 'gradient'; readonly stopBelow: number }
  /** Adam on the mean gradient of mini-batches, in an order drawn anew for every epoch. */
  | { readonly kind: 'adam'; readonly batch: number };

/** Change of the summed cross-entropy from which on the seed system goes on. */
const SEED_STOP_BELOW = 0.2;

/** The recipe of the seed system. */
export function seedRecipe(epochs: number, eta: number): Recipe {
  return {
    activation: 'seed',
    optimizer: { kind: 'gradient', stopBelow: SEED_STOP_BELOW },
    epochs,
    eta,
  };
}
