/** Which checkpoints stay. */
import type { Manifest } from './manifest.ts';
import type { ListedCheckpoint } from './read-checkpoints.ts';

/** How good an evaluated model is; of two, the one that comes first is better. */
export function compareEvaluations(
  a: NonNullable<Manifest['history']['evaluation']>,
  b: NonNullable<Manifest['history']['evaluation']>,
): number {
  return (b.accuracy ?? 0) - (a.accuracy ?? 0) || a.lossMean - b.lossMean;
}

/** How the model of a checkpoint did, if it is the one that was evaluated. */
export function evaluationOf({
  step,
  history: { evaluation },
}: Pick<Manifest, 'step' | 'history'>): Manifest['history']['evaluation'] {
  return evaluation?.step === step ? evaluation : undefined;
}

/** The checkpoint whose model did best, of those that were evaluated; the first of equals. */
export function bestOf(listed: readonly ListedCheckpoint[]): ListedCheckpoint | undefined {
  const evaluated = listed.flatMap((one) => {
    const evaluation = one.manifest && evaluationOf(one.manifest);
    return evaluation === undefined ? [] : [{ one, evaluation }];
  });
  evaluated.sort(
    (a, b) => compareEvaluations(a.evaluation, b.evaluation) || a.one.step - b.one.step,
  );
  return evaluated[0]?.one;
}

/**
 * Those that may go: all but the newest `keep`, the best, and the one that a variation began with.
 * `listed` has the newest first. Damaged ones count as none, and stay for whoever looks into it.
 */
export function superfluous(listed: readonly ListedCheckpoint[], keep: number): string[] {
  const readable = listed.filter(({ manifest }) => manifest !== undefined);
  const best = bestOf(readable);
  return readable
    .slice(keep)
    .filter((one) => one !== best && !isOrigin(one))
    .map(({ name }) => name);
}

/** Whether a run began with it: without it, its first steps cannot be computed again. */
export function isOrigin({ step, manifest }: ListedCheckpoint): boolean {
  return manifest?.parent?.step === step;
}
