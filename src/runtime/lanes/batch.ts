import type { OnnxValue, Tensor } from 'onnxruntime-node';
import type { AugmentationDraw } from '../../data/augment.ts';
import { type BatchFiller, createBatchFiller } from '../../data/batches.ts';
import { type Dataset, featureCountOf, targetCountOf } from '../../data/dataset.ts';
import type { Arena, RegionRequest } from '../../kernels/arena.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import { targetTypeOf } from '../../models/objective.ts';
import type { InPlaceSession } from '../in-place-session.ts';
import { onnxRuntime } from '../onnx-runtime.ts';

/** The arena regions, named from `prefix`, that micro-batches of `batchSize` samples need. */
export function batchRegions(prefix: string, dataset: Dataset, batchSize: number): RegionRequest[] {
  const x = batchSize * featureCountOf(dataset);
  return [
    { name: `${prefix}.bytes`, byteLength: dataset.x instanceof Uint8Array ? x : 0 },
    { name: `${prefix}.x`, byteLength: 4 * x },
    { name: `${prefix}.y`, byteLength: 4 * batchSize * targetCountOf(dataset) },
    { name: `${prefix}.sampleWeight`, byteLength: 4 * batchSize },
    { name: `${prefix}.loss`, byteLength: 4 },
    { name: `${prefix}.correct`, byteLength: 4 },
  ];
}

/** What a graph is bound to. */
export interface GraphBinding {
  readonly session: InPlaceSession;
  readonly arena: Arena;
  readonly kernels: Kernels;
  /** The prefix of the regions, as `batchRegions` was given it. */
  readonly prefix: string;
  readonly dataset: Dataset;
  readonly batchSize: number;
  /** Views of parameters and masks (inputs) and of gradients (outputs), by the graph's names. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A compiled graph bound to an arena: fill it, run it, read the results in place. */
export class BoundGraph {
  readonly #session: InPlaceSession;
  readonly #filler: BatchFiller;
  readonly #normalise: () => void;
  readonly #feeds: Record<string, Tensor>;
  readonly #fetches: Record<string, OnnxValue>;
  readonly #loss: Float32Array;
  readonly #correct: Float32Array;

  constructor(binding: GraphBinding) {
    const { session, arena, prefix, dataset, batchSize, tensors } = binding;
    const { Tensor: TensorOf } = onnxRuntime();
    const isTokens = dataset.x instanceof Int32Array;
    const x = isTokens ? arena.int32(`${prefix}.x`) : arena.float32(`${prefix}.x`);
    const target = targetTypeOf(dataset.target, batchSize);
    const y = target.type === 'int32' ? arena.int32(`${prefix}.y`) : arena.float32(`${prefix}.y`);
    const sampleWeight = arena.float32(`${prefix}.sampleWeight`);
    this.#session = session;
    this.#filler = createBatchFiller(dataset, {
      x: dataset.x instanceof Uint8Array ? arena.uint8(`${prefix}.bytes`) : x,
      y,
      sampleWeight,
    });
    this.#normalise = normaliserOf(binding);
    this.#loss = arena.float32(`${prefix}.loss`);
    this.#correct = arena.float32(`${prefix}.correct`);
    const own = new Map<string, Tensor>([
      ['x', new TensorOf(isTokens ? 'int32' : 'float32', x, [batchSize, ...dataset.features])],
      ['y', new TensorOf(target.type === 'int32' ? 'int32' : 'float32', y, target.shape)],
      ['sampleWeight', new TensorOf('float32', sampleWeight, [batchSize])],
      ['loss', new TensorOf('float32', this.#loss, [])],
      ['correct', new TensorOf('float32', this.#correct, [])],
    ]);
    const tensorOf = (name: string): Tensor => {
      const tensor = own.get(name) ?? tensors.get(name);
      if (tensor === undefined)
        throw new TypeError(`the graph names ${name}, which the lane does not have`);
      return tensor;
    };
    this.#feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensorOf(name)]));
    this.#fetches = Object.fromEntries(session.outputNames.map((name) => [name, tensorOf(name)]));
  }

  /**
   * Gathers `count` samples from position `start` of `order` (natural order if undefined); the rest
   * is padding. With `draw` they are augmented as the data set says.
   */
  fill(
    order: Uint32Array | undefined,
    start: number,
    count: number,
    draw?: AugmentationDraw,
  ): void {
    this.#filler.fill(order, start, count, draw);
    this.#normalise();
  }

  /** Runs the graph; outputs lie in the arena afterwards. */
  async run(): Promise<void> {
    await this.#session.run(this.#feeds, this.#fetches);
  }

  /** Sum of losses of the last run. */
  get lossSum(): number {
    return this.#loss[0] as number;
  }

  /** Weighted count of right answers of the last run; 0 for a regression. */
  get correctSum(): number {
    return this.#correct[0] as number;
  }
}

/**
 * What turns stored features into those that the graph reads: planes of samples, each with its
 * scale and shift.
 */
function normaliserOf({ arena, kernels, prefix, dataset, batchSize }: GraphBinding): () => void {
  const { x, normalisation } = dataset;
  const { scale, shift } = normalisation;
  const isAsStored = scale.every((value) => value === 1) && shift.every((value) => value === 0);
  if (x instanceof Int32Array || (x instanceof Float32Array && isAsStored)) return () => {};
  const bytes = arena.byteOffset(`${prefix}.bytes`);
  const target = arena.byteOffset(`${prefix}.x`);
  // One normalisation for all features, or one per channel.
  const isUniform = scale.length === 1;
  const planeCount = isUniform ? 1 : batchSize * scale.length;
  const length = (batchSize * featureCountOf(dataset)) / planeCount;
  return () => {
    for (let plane = 0; plane < planeCount; plane++) {
      const channel = plane % scale.length;
      const [factor, offset] = [scale[channel] ?? 1, shift[channel] ?? 0];
      const start = plane * length;
      if (x instanceof Uint8Array)
        kernels.bytesToFloat32(bytes + start, target + 4 * start, length, factor, offset);
      else kernels.normalise(target + 4 * start, length, factor, offset);
    }
  };
}
