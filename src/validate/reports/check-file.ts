/** `report check`: everything that is wrong with a file of the suite. */
import {
  faultReportSchema,
  healthSchema,
  resultSchema,
  type TrainingPayload,
  trainingPayloadSchema,
} from '../results/result.ts';
import {
  type Document,
  FILE_KINDS,
  type FileKind,
  isDocument,
  type KnownFile,
} from '../results/read-result.ts';
import { type Problem, problemsOf } from '../results/schema-problems.ts';
import { bitsOf } from '../watch/step-recorder.ts';

/** Compute, all-reduce, wait and other add up to the step's time, within this part of it. */
const TIME_TOLERANCE = 0.05;
/** Clocks that programs read for such short times say little. */
const SHORTEST_STEP_MS = 0.1;

/** Gives all problems of a file: fields against its schema, numbers that contradict each other. */
export function checkFile({ kind, document }: KnownFile): Problem[] {
  switch (kind) {
    case 'result':
      return checkResult(document);
    case 'training':
      return checkPayload(document, '');
    case 'health':
      return problemsOf(healthSchema, document);
    case 'fault-report':
      return checkFaultReport(document);
    case 'baseline':
    case 'summary':
    case 'validation-report':
    case 'comparison-report':
    case 'metrics':
      return [
        { path: '', message: `expected a file with a schema, got ${nameOf(kind)}`, count: 1 },
      ];
    default:
      return kind satisfies never;
  }
}

function nameOf(kind: FileKind): string {
  return kind === 'metrics' ? 'a JSON object of no known kind' : FILE_KINDS[kind];
}

function checkResult(document: Document): Problem[] {
  const payload = document['tool_payload'];
  const isTraining = isDocument(payload) && Object.hasOwn(payload, 'steps');
  return [
    ...problemsOf(resultSchema, document),
    ...(isTraining ? checkPayload(payload, 'tool_payload') : []),
  ];
}

function checkPayload(payload: Document, prefix: string): Problem[] {
  const parsed = trainingPayloadSchema.safeParse(payload);
  if (!parsed.success) return problemsOf(trainingPayloadSchema, payload, prefix);
  const within = (path: string): string => (prefix === '' ? path : `${prefix}.${path}`);
  return contradictions(parsed.data).map(({ path, ...rest }) => ({ path: within(path), ...rest }));
}

function contradictions({ steps, num_steps, final_loss }: TrainingPayload): Problem[] {
  const problems: Problem[] = [];
  if (num_steps !== steps.length)
    problems.push({
      path: 'num_steps',
      message: `is ${num_steps}, but there are ${steps.length} steps`,
      count: 1,
    });
  const last = steps.at(-1);
  if (last !== undefined && last.loss !== final_loss)
    problems.push({
      path: 'final_loss',
      message: `is ${final_loss}, but the last step has ${last.loss}`,
      count: 1,
    });
  return [
    ...problems,
    ...wrongSteps(steps.map((step, index) => orderProblem(steps[index - 1], step))),
    ...wrongSteps(steps.map(bitsProblem)),
    ...wrongSteps(steps.map(timeProblem)),
  ];
}

/** What is wrong with a step: the field, and the message. */
type StepProblem = readonly [field: string, message: string];

/** The problems of one kind, by step, as one problem at the first step that has it. */
function wrongSteps(problems: readonly (StepProblem | undefined)[]): Problem[] {
  const index = problems.findIndex((problem) => problem !== undefined);
  const first = problems[index];
  if (first === undefined) return [];
  const [field, message] = first;
  const count = problems.filter((problem) => problem !== undefined).length;
  return [{ path: `steps[${index}].${field}`, message, count }];
}

type Step = TrainingPayload['steps'][number];

function orderProblem(before: Step | undefined, { step }: Step): StepProblem | undefined {
  return before !== undefined && step !== before.step + 1
    ? ['step', `is ${step}, but the step before is ${before.step}`]
    : undefined;
}

function bitsProblem(step: Step): StepProblem | undefined {
  if (step.loss_bits === undefined) return undefined;
  const bits = bitsOf(step.loss);
  return step.loss_bits.toLowerCase() === bits
    ? undefined
    : ['loss_bits', `is ${step.loss_bits}, but those of the loss ${step.loss} are ${bits}`];
}

function timeProblem(step: Step): StepProblem | undefined {
  if (step.step_time_ms === undefined || step.step_time_ms < SHORTEST_STEP_MS) return undefined;
  const {
    compute_time_ms,
    allreduce_time_ms,
    wait_time_ms = 0,
    other_time_ms = 0,
    step_time_ms,
  } = step;
  const sum = compute_time_ms + allreduce_time_ms + wait_time_ms + other_time_ms;
  return Math.abs(sum - step_time_ms) <= TIME_TOLERANCE * step_time_ms
    ? undefined
    : [
        'step_time_ms',
        `is ${step_time_ms}, but compute, all-reduce, wait and other add up to ${sum}`,
      ];
}

function checkFaultReport(document: Document): Problem[] {
  const parsed = faultReportSchema.safeParse(document);
  if (!parsed.success) return problemsOf(faultReportSchema, document);
  const { num_faults, num_detected, num_missed, results } = parsed.data;
  const detected = results.filter(({ was_detected }) => was_detected).length;
  const problems: Problem[] = [];
  if (num_detected + num_missed !== num_faults)
    problems.push({
      path: 'num_faults',
      message:
        `is ${num_faults}, but ${num_detected} detected and ${num_missed} missed make ` +
        `${num_detected + num_missed}`,
      count: 1,
    });
  if (detected !== num_detected)
    problems.push({
      path: 'num_detected',
      message: `is ${num_detected}, but of the results ${detected} are detected`,
      count: 1,
    });
  return problems;
}
