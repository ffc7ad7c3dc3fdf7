/** The state of a run as files of tensors, and back. */
import { LockstepError } from '../base/errors.ts';
import type { CheckpointContent } from '../checkpoint/write-checkpoint.ts';
import {
  decodeSafetensors,
  encodeSafetensors,
  type NamedTensor,
} from '../checkpoint/safetensors.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { optimizerRegionsOf } from '../state/state-layout.ts';

/** The tensors of the weights. */
const WEIGHTS_NAME = 'weights.safetensors';
/** What the optimizer keeps beside each; absent where it keeps nothing. */
const OPTIMIZER_NAME = 'optimizer.safetensors';
/** What a strategy remembers beside each; absent where it remembers nothing. */
const STRATEGY_NAME = 'strategy.safetensors';
const PLAN_NAME = 'plan.json';

type Sizes = Pick<RunPlan, 'job' | 'update' | 'stateBytes'>;

/** A tensor of the state, and where it is in that. */
interface StateTensor {
  readonly file: string;
  readonly name: string;
  readonly shape: readonly number[];
  /** In elements. */
  readonly offset: number;
  readonly length: number;
}

/** Every tensor of a state, in its order. */
function tensorsOf({ job, update, stateBytes }: Sizes): StateTensor[] {
  const sizes = job.parameters.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const regionBytes = 4 * sizes.reduce((a, b) => a + b, 0);
  const ofOptimizer = optimizerRegionsOf(update.optimizer);
  const remembered = stateBytes / regionBytes - 1 - ofOptimizer.length;
  const regions = [
    { file: WEIGHTS_NAME, prefix: '' },
    ...ofOptimizer.map((region) => ({ file: OPTIMIZER_NAME, prefix: `${region}.` })),
    ...Array.from({ length: remembered }, (_, i) => ({ file: STRATEGY_NAME, prefix: `${i}.` })),
  ];
  let offset = 0;
  return regions.flatMap(({ file, prefix }) =>
    job.parameters.map(({ name, shape }, i) => {
      const length = sizes[i] ?? 0;
      offset += length;
      return { file, name: `${prefix}${name}`, shape, offset: offset - length, length };
    }),
  );
}

/** Every tensor of a state, with its values: weights first, then what the optimizer keeps. */
export function namedTensors(plan: Sizes, state: Uint8Array): NamedTensor[] {
  return tensorsOf(plan).map(({ name, shape, offset, length }) => ({
    name,
    shape,
    data: new Float32Array(state.buffer, state.byteOffset + 4 * offset, length),
  }));
}

/** The files of a state, which hold views of it. */
export function stateFiles(
  plan: RunPlan,
  state: Uint8Array,
): Pick<CheckpointContent, 'files' | 'tensorFiles'> {
  const { buffer, byteOffset } = state.byteOffset % 4 === 0 ? state : state.slice();
  const tensors = tensorsOf(plan);
  const names = [...new Set(tensors.map(({ file }) => file))];
  const files = names.map((name) => {
    const own = tensors.filter(({ file }) => file === name);
    const named = own.map((one): NamedTensor => ({
      name: one.name,
      shape: one.shape,
      data: new Float32Array(buffer, byteOffset + 4 * one.offset, one.length),
    }));
    return { name, parts: encodeSafetensors(named, { format: 'pt' }) };
  });
  const planFile = { name: PLAN_NAME, parts: [Buffer.from(`${JSON.stringify(plan)}\n`)] };
  return { files: [...files, planFile], tensorFiles: files.length };
}

/**
 * The state that files hold; `read` gives the content of each. Throws CHECKPOINT_INVALID when it is
 * not that of the plan.
 */
export async function stateOf(
  plan: Sizes,
  read: (name: string) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const state = new Uint8Array(plan.stateBytes);
  const tensors = tensorsOf(plan);
  for (const file of new Set(tensors.map((one) => one.file))) {
    const { tensors: found } = decodeSafetensors(await read(file), file);
    const own = tensors.filter((one) => one.file === file);
    for (const [i, { name, shape, offset }] of own.entries()) {
      const there = found[i];
      if (there?.name !== name || there.shape.join() !== shape.join())
        throw new LockstepError(
          'CHECKPOINT_INVALID',
          `reading ${file}: expected tensor ${i} to be ${name} [${shape.join(', ')}], found ` +
            `${there?.name} [${there?.shape.join(', ')}]`,
          { file },
        );
      state.set(there.bytes, 4 * offset);
    }
  }
  return state;
}
