import type { InferenceSession, OnnxValue, Tensor } from 'onnxruntime-node';
import { type BatchFiller, createBatchFiller } from '../data/batches.ts';
import { type Dataset, featureCountOf, targetCountOf } from '../data/dataset.ts';
import type { Arena, RegionRequest } from '../kernels/arena.ts';
import type { Kernels } from '../kernels/kernels.ts';
import { onnxRuntime } from './session.ts';

/** The arena regions that micro-batches of `batchSize` samples of `dataset` need, named from `prefix`. */
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

/**
 * One compiled graph with its inputs and outputs bound to an arena: fill it, run it, read the results in place.
 */
export class BoundGraph {
  readonly #session: InferenceSession;
  readonly #filler: BatchFiller;
  readonly #normalise: () => void;
  readonly #feeds: Record<string, Tensor>;
  readonly #fetches: Record<string, OnnxValue>;
  readonly #loss: Float32Array;
  readonly #correct: Float32Array;

  constructor(
    session: InferenceSession,
    arena: Arena,
    kernels: Kernels,
    prefix: string,
    dataset: Dataset,
    batchSize: number,
    /** Views of parameters (inputs) and gradients (outputs), by the graph's names. */
    tensors: ReadonlyMap<string, Tensor>,
  ) {
    const { Tensor: TensorOf } = onnxRuntime();
    const isBytes = dataset.x instanceof Uint8Array;
    const x = arena.float32(`${prefix}.x`);
    const isLabels = dataset.y instanceof Int32Array;
    const y = isLabels ? arena.int32(`${prefix}.y`) : arena.float32(`${prefix}.y`);
    const sampleWeight = arena.float32(`${prefix}.sampleWeight`);
    this.#session = session;
    this.#filler = createBatchFiller(dataset, {
      x: isBytes ? arena.uint8(`${prefix}.bytes`) : x,
      y,
      sampleWeight,
    });
    const { scale, shift } = dataset.normalisation;
    const bytesOffset = arena.byteOffset(`${prefix}.bytes`);
    const xOffset = arena.byteOffset(`${prefix}.x`);
    this.#normalise = isBytes
      ? () => kernels.bytesToFloat32(bytesOffset, xOffset, x.length, scale, shift)
      : () => {};
    this.#loss = arena.float32(`${prefix}.loss`);
    this.#correct = arena.float32(`${prefix}.correct`);
    const own = new Map<string, Tensor>([
      ['x', new TensorOf('float32', x, [batchSize, ...dataset.features])],
      [
        'y',
        isLabels
          ? new TensorOf('int32', y as Int32Array, [batchSize])
          : new TensorOf('float32', y as Float32Array, [batchSize, targetCountOf(dataset)]),
      ],
      ['sampleWeight', new TensorOf('float32', sampleWeight, [batchSize])],
      ['loss', new TensorOf('float32', this.#loss, [])],
      ['correct', new TensorOf('float32', this.#correct, [])],
    ]);
    const tensorOf = (name: string): Tensor => {
      const tensor = own.get(name) ?? tensors.get(name);
      if (tensor === undefined) throw new TypeError(`the graph names ${name}, which the lane does not have`);
      return tensor;
    };
    this.#feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensorOf(name)]));
    this.#fetches = Object.fromEntries(session.outputNames.map((name) => [name, tensorOf(name)]));
  }

  /** Gathers `count` samples from position `start` of `order` (natural order if undefined); the rest is padding. */
  fill(order: Uint32Array | undefined, start: number, count: number): void {
    this.#filler.fill(order, start, count);
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
