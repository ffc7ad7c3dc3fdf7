/**
 * The lines of a journal: what a coordinator has decided, for the one that is started after it has
 * died. The first line says which run it is; every other one is a step that counts, with where the
 * run stands then. Each has a checksum: a line that was not written whole, or is damaged, ends it.
 */
import { crc32 } from 'node:zlib';
import * as z from 'zod';
import type { Mark } from '../../coordinator/steps/trajectory.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { StepAccount } from '../../protocol/messages.ts';

const FORMAT = 1;

const count = z.int().min(0);
const head = z.strictObject({
  journal: z.literal(FORMAT),
  software: z.string(),
  written: z.string(),
  run: z.string(),
  stepDigest: z.string(),
  /** Every setting, as it was resolved. */
  config: z.record(z.string(), z.unknown()),
  plan: z.record(z.string(), z.unknown()),
  /** Where workers look for the coordinator. */
  port: count,
  /** Whether the run began with the initial state of its plan. */
  isInitial: z.boolean(),
});
const decided = z.strictObject({
  step: z.int().min(1),
  account: z.strictObject({ sampleCount: count, lossSum: z.number(), correctSum: z.number() }),
  maxima: z.array(z.number()),
  ledger: z.strictObject({ expected: count, counted: count, dropped: z.int(), duplicated: count }),
  losses: z.strictObject({
    firstLoss: z.number().optional(),
    highSteps: count,
    isDiverged: z.boolean(),
  }),
});
/** Steps were undone: somebody had computed wrong, and may still have a state of these. */
const undone = z.strictObject({ undone: z.literal(true) });

/** A worker process of the coordinator's machine, which outlives it. */
const localWorker = z.strictObject({ rank: count, processId: z.int().min(1), stamp: z.string() });
const crew = z.strictObject({ crew: z.array(localWorker) });
/** A worker process of the coordinator's machine; the stamp tells it from a later one. */
export type CrewMember = z.infer<typeof localWorker>;

/** Which run a journal is of. */
export type JournalHead = Omit<z.infer<typeof head>, 'journal' | 'plan'> & {
  readonly plan: RunPlan;
};

/** A step that is written down. */
export interface JournalStep {
  readonly account: StepAccount;
  readonly mark: Mark;
}

/** What a journal tells. */
export interface JournalContent {
  readonly head: JournalHead;
  /** By the updates that are done with them; the newest is the last. */
  readonly steps: ReadonlyMap<number, JournalStep>;
  readonly wasUndone: boolean;
  /** The workers that it has started. */
  readonly crew: readonly CrewMember[];
}

/** The first line. */
export function headLine(about: JournalHead): string {
  return lineOf({ journal: FORMAT, ...about });
}

/** The line of a step. */
export function stepLine({ account, mark }: JournalStep): string {
  const { step, maxima = [], ledger, losses } = mark;
  const { sampleCount, lossSum, correctSum } = account;
  return lineOf({
    step,
    account: { sampleCount, lossSum, correctSum },
    maxima: [...maxima],
    ledger,
    losses,
  });
}

/** The line that says that steps were undone. */
export function undoneLine(): string {
  return lineOf({ undone: true });
}

/** The line that says who the workers are that the coordinator has started. */
export function crewLine(members: readonly CrewMember[]): string {
  return lineOf({ crew: members });
}

function lineOf(content: object): string {
  const text = JSON.stringify(content);
  return `${checksumOf(text)} ${text}\n`;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

/** Reads the lines of a journal, up to one that is not whole; undefined if the first is not. */
export function parseJournal(text: string): JournalContent | undefined {
  const [first, ...lines] = text.split('\n');
  const about = head.safeParse(contentOf(first ?? ''));
  if (!about.success) return undefined;
  const { journal: _, plan, ...rest } = about.data;
  const steps = new Map<number, JournalStep>();
  let wasUndone = false;
  let started: readonly CrewMember[] = [];
  for (const line of lines) {
    const content = contentOf(line);
    if (content === undefined) break;
    const step = decided.safeParse(content);
    const members = crew.safeParse(content);
    if (step.success) addStep(steps, step.data);
    else if (members.success) started = members.data.crew;
    else if (undone.safeParse(content).success) wasUndone = true;
    else break;
  }
  return { head: { ...rest, plan: plan as unknown as RunPlan }, steps, wasUndone, crew: started };
}

/** A step that is told again is the last one: the run has gone back. */
function addStep(
  steps: Map<number, JournalStep>,
  { step, account, maxima, ledger, losses }: z.infer<typeof decided>,
): void {
  for (let later = step; steps.delete(later); later++);
  const mark = { step, maxima, ledger, evaluatedStep: -1 };
  const { firstLoss, ...course } = losses;
  steps.set(step, { account, mark: { ...mark, losses: { firstLoss, ...course } } });
}

function contentOf(line: string): unknown {
  const text = line.slice(9);
  if (line.slice(0, 9) !== `${checksumOf(text)} `) return undefined;
  return JSON.parse(text);
}
