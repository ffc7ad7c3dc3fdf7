/** What a faulty worker process is told to do wrong, and what it tells of it. */
import * as z from 'zod';
import { invariant } from '../../base/errors.ts';
import type { Injection } from './fault-verdict.ts';

const faultOrder = z.object({
  fault: z.string(),
  /** The step at which it begins. */
  step: z.int().min(0),
  seed: z.int().min(0),
  /** The worker's id, where two processes are to have the same one. */
  workerId: z.string().optional(),
});

/** An argument of the faulty worker process. */
export type FaultOrder = z.infer<typeof faultOrder>;

const injected = z.object({ injected: z.string(), step: z.int(), atMs: z.number() });

/** The order in an argument. */
export function parseFaultOrder(text: string): FaultOrder {
  const result = faultOrder.safeParse(JSON.parse(text));
  invariant(result.success, 'a faulty worker is started by fault-test, with its order');
  return result.data;
}

/** The line that a faulty worker writes into its log when the fault begins. */
export function injectionLine(fault: string, { step, atMs }: Injection): string {
  return `${JSON.stringify({ injected: fault, step, atMs })}\n`;
}

/** The first such line of a log; undefined when the fault has not begun. */
export function injectionIn(log: string): Injection | undefined {
  const line = log.split('\n').find((text) => text.startsWith('{"injected"') && text.endsWith('}'));
  if (line === undefined) return undefined;
  const { step, atMs } = injected.parse(JSON.parse(line));
  return { step, atMs };
}
