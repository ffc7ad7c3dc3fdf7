import { z } from 'zod';
import { ProtocolError } from '../base/errors.ts';
import type { Job } from '../protocol/messages.ts';

const count = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

const roundsSpec = z.object({
  kind: z.literal('rounds'),
  shards: count,
  localEpochs: count,
  /** Learning rate per round; the last holds for all further ones. */
  rates: z.array(z.number()).min(1),
});

/** What workers of a run in rounds are told of them. */
export type RoundsSpec = z.infer<typeof roundsSpec>;

/** Reads the rounds of a job. Throws ProtocolError when there are none. */
export function parseRoundsSpec({ strategy }: Pick<Job, 'strategy'>): RoundsSpec {
  const result = roundsSpec.safeParse(strategy);
  if (result.success) return result.data;
  throw new ProtocolError(`job: expected rounds: ${z.prettifyError(result.error)}`);
}
