import * as z from 'zod';
import { ProtocolError } from '../base/errors.ts';
import type { Job } from '../protocol/messages.ts';

const count = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

const roundsSpec = z.object({
  kind: z.enum(['rounds', 'local-sgd']),
  shards: count,
  localEpochs: count,
  /** Rounds that an epoch is divided into. */
  roundsPerEpoch: count.optional(),
  /** Learning rate per round; the last holds for all further ones. */
  rates: z.array(z.number()).min(1),
  /** Nesterov momentum of the update that a round ends with; 0 if absent. */
  outerMomentum: z.number().min(0).lt(1).optional(),
  /** How what shards changed is made smaller; as it is if absent. */
  compress: z.enum(['int8', 'topk']).optional(),
  /** Part of the elements that is kept with `topk`. */
  topKPart: z.number().gt(0).max(1).optional(),
});

/** What workers of a run in rounds are told of them. */
export type RoundsSpec = z.infer<typeof roundsSpec>;

/** Reads the rounds of a job. Throws ProtocolError when there are none. */
export function parseRoundsSpec({ strategy }: Pick<Job, 'strategy'>): RoundsSpec {
  const result = roundsSpec.safeParse(strategy);
  if (result.success) return result.data;
  throw new ProtocolError(`job: expected rounds: ${z.prettifyError(result.error)}`);
}
