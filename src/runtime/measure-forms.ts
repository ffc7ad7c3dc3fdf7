/** Finds by measurement which form of a convolution or of its gradients is fastest here. */
import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import {
  convForms,
  convWorkKey,
  defaultConvForm,
  makeConvFormGraph,
  type ConvForm,
  type ConvWork,
} from '../autodiff/conv-forms.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { isStatic, staticElementCount } from '../graph/values/shape.ts';
import type { Graph } from '../graph/types.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import { createSession } from './session.ts';

/** Limits of the measurement. */
export interface MeasureFormsOptions {
  /** Time for all works together, 1500 when absent; works beyond it keep their default. */
  readonly budgetMs?: number;
  /** Replaces the measurement, for tests: milliseconds of one run. */
  readonly timeForm?: (work: ConvWork, form: ConvForm) => Promise<number>;
}

/** A form is chosen below this share of the default's time: less of a gain may be noise. */
const WORTHWHILE = 0.9;
const RUNS = 4;
/** A form that takes this many times the default's time, even in a first run, is not run again. */
const HOPELESS = 2;

/**
 * The form to use for each work, by `convWorkKey`; every work has an entry.
 *
 * Measures in the given order on one thread, the runs of all forms of a work in turn, and takes the
 * least time of each: what else runs on the machine makes a run longer, never shorter.
 * Throws: RuntimeError when ONNX Runtime cannot load a form.
 */
export async function measureForms(
  works: readonly ConvWork[],
  { budgetMs = 1_500, timeForm }: MeasureFormsOptions = {},
): Promise<Map<string, ConvForm>> {
  const deadlineMs = performance.now() + budgetMs;
  const choices = new Map<string, ConvForm>();
  for (const work of works) {
    const choice =
      performance.now() < deadlineMs
        ? await fastestForm(work, deadlineMs, timeForm)
        : defaultConvForm(work);
    choices.set(convWorkKey(work), choice);
  }
  return choices;
}

async function fastestForm(
  work: ConvWork,
  deadlineMs: number,
  timeForm: MeasureFormsOptions['timeForm'],
): Promise<ConvForm> {
  const forms = convForms(work);
  const [usual = defaultConvForm(work)] = forms;
  if (forms.length === 1) return usual;
  const trials: FormTrial[] = [];
  try {
    for (const form of forms)
      trials.push(await (timeForm ? imagineTrial(work, form, timeForm) : startTrial(work, form)));
    for (let run = 0; run < RUNS && performance.now() < deadlineMs; run++) {
      const limitMs = HOPELESS * bestOf(trials, usual);
      for (const trial of trials.filter(({ bestMs }) => bestMs < limitMs)) {
        trial.bestMs = Math.min(trial.bestMs, await trial.time());
      }
    }
  } finally {
    for (const trial of trials) await trial.release();
  }
  const best = trials.reduce((a, b) => (b.bestMs < a.bestMs ? b : a));
  return best.bestMs < WORTHWHILE * bestOf(trials, usual) ? best.form : usual;
}

function bestOf(trials: readonly FormTrial[], form: ConvForm): number {
  return trials.find((trial) => trial.form === form)?.bestMs ?? Infinity;
}

/** A form that is ready to be timed, and has been run once. */
export interface FormTrial {
  readonly form: ConvForm;
  /** The least time so far, milliseconds. */
  bestMs: number;
  readonly time: () => Promise<number>;
  readonly release: () => Promise<void>;
}

/** Makes a session for one form; `release` ends it. Throws RuntimeError if it cannot be loaded. */
export async function startTrial(work: ConvWork, form: ConvForm): Promise<FormTrial> {
  const graph = makeConvFormGraph(work, form);
  const session = await createSession(encodeGraph(graph), graph.name, 'cpu');
  const feeds = tensorsFor(graph.inputs);
  const fetches = tensorsFor(graph.outputs);
  const time = async (): Promise<number> => timeRun(session, feeds, fetches);
  return { form, bestMs: await time(), time, release: async () => session.release() };
}

async function imagineTrial(
  work: ConvWork,
  form: ConvForm,
  timeForm: NonNullable<MeasureFormsOptions['timeForm']>,
): Promise<FormTrial> {
  const time = async (): Promise<number> => timeForm(work, form);
  return { form, bestMs: await time(), time, release: async () => {} };
}

async function timeRun(
  session: InferenceSession,
  feeds: Record<string, OnnxValue>,
  fetches: Record<string, OnnxValue>,
): Promise<number> {
  const startedMs = performance.now();
  await session.run(feeds, fetches);
  return performance.now() - startedMs;
}

/** Tensors of ordinary numbers: zeros or subnormals could take another time. */
function tensorsFor(values: Graph['inputs']): Record<string, OnnxValue> {
  const { Tensor } = onnxRuntime();
  const tensors = values.map(({ name, shape }) => {
    const sizes = isStatic(shape) ? shape : [];
    const data = Float32Array.from(
      { length: staticElementCount(sizes) },
      (_, i) => ((i % 61) - 30) / 32,
    );
    return [name, new Tensor('float32', data, sizes)] as const;
  });
  return Object.fromEntries(tensors);
}
