/**
 * What reading data costs: loading a set, and filling a micro-batch of 32 from it, which is all
 * that a step waits for. `npm run bench -- data [set or path ...]`; sets that are not at hand are
 * passed over with the reason.
 */
import { messageOf } from '../src/base/errors.ts';
import { parseTrainConfig } from '../src/config/parse-train-config.ts';
import { createBatchFiller, epochOrder } from '../src/data/batches.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { featureCountOf, targetCountOf } from '../src/data/dataset.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../src/job/data-source.ts';

const BATCH = 32;
const ROUNDS = 2000;

const SETS: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['mnist', {}],
  ['fashion_mnist', {}],
  ['digits', {}],
  ['moby_dick', {}],
  ['synthetic_image', {}],
  ['synthetic_image', { augment: 'crop-flip' }],
  ['synthetic_text', {}],
  ['synthetic_regression', {}],
];

/** Best time of many, in microseconds, with samples in random order as in training. */
function fillMicroseconds(dataset: Dataset): number {
  const x = new (dataset.x.constructor as Uint8ArrayConstructor)(BATCH * featureCountOf(dataset));
  const y = new (dataset.y.constructor as Int32ArrayConstructor)(BATCH * targetCountOf(dataset));
  const filler = createBatchFiller(dataset, { x, y, sampleWeight: new Float32Array(BATCH) });
  const order = epochOrder(1, 0, dataset.sampleCount);
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = (round * BATCH) % (dataset.sampleCount - BATCH);
    const startedMs = performance.now();
    filler.fill(order, start, BATCH, { seed: 1, epoch: 0 });
    best = Math.min(best, performance.now() - startedMs);
  }
  return 1000 * best;
}

async function measure(name: string, flags: Readonly<Record<string, string>>): Promise<void> {
  const { config } = parseTrainConfig([], { ...flags, dataset: name });
  const title = [name, ...Object.values(flags)].join(' ').padEnd(28);
  try {
    const startedMs = performance.now();
    const { train } = await loadRunData(
      datasetSpecOf(config),
      dataPlaces(config.dataDir, process.env),
    );
    const loadMs = performance.now() - startedMs;
    const megabytes = (train.x.byteLength + train.y.byteLength) / 1e6;
    const shape = `${train.sampleCount} x [${train.features.join(', ')}]`;
    console.log(
      `${title} ${shape.padEnd(22)} ${megabytes.toFixed(1).padStart(7)} MB  loaded in ` +
        `${loadMs.toFixed(0).padStart(5)} ms  fill ` +
        `${fillMicroseconds(train).toFixed(1).padStart(6)} us`,
    );
  } catch (error) {
    console.log(`${title} not measured: ${messageOf(error).split('\n')[0]}`);
  }
}

const named = process.argv.slice(2).map((name) => [name, {}] as const);
console.log(`micro-batches of ${BATCH}, best of ${ROUNDS}, Node.js ${process.version}`);
for (const [name, flags] of named.length > 0 ? named : SETS) await measure(name, flags);
