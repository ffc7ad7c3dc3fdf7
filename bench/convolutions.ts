/**
 * Every form of the convolutions of simple_cnn and of ResNet-18 and -50, and of their gradients, on
 * one thread beside PyTorch: GFLOP/s, best of several runs. A star marks the default form.
 *
 *   npm run bench -- convolutions [cnn | resnet18 | resnet50 ...]
 */
import { convFlops, convSignatureOf } from '../src/autodiff/conv-signature.ts';
import { convForms, type ConvWork } from '../src/autodiff/conv-forms.ts';
import { startTrial } from '../src/runtime/measure-forms.ts';
import { machine, pytorchJson } from './lib/processes.ts';

type Layer = readonly [
  batch: number,
  channels: number,
  size: number,
  outputs: number,
  kernel: number,
  stride: number,
];

/** Layers of different shapes; ResNet-50's with images of 64 x 64 in batches of 8. */
const NETWORKS: Readonly<Record<string, readonly Layer[]>> = {
  cnn: [
    [32, 3, 32, 64, 3, 1],
    [32, 64, 16, 128, 3, 1],
    [32, 128, 8, 256, 3, 1],
  ],
  resnet18: [
    [16, 3, 64, 64, 7, 2],
    [16, 64, 16, 64, 3, 1],
    [16, 64, 16, 128, 3, 2],
    [16, 128, 8, 128, 3, 1],
    [16, 128, 8, 256, 3, 2],
    [16, 256, 4, 256, 3, 1],
    [16, 256, 4, 512, 3, 2],
    [16, 512, 2, 512, 3, 1],
    [16, 64, 16, 128, 1, 2],
    [16, 256, 4, 512, 1, 2],
  ],
  resnet50: [
    [8, 64, 16, 256, 1, 1],
    [8, 256, 16, 64, 1, 1],
    [8, 512, 8, 128, 1, 1],
    [8, 256, 4, 1024, 1, 1],
    [8, 1024, 4, 256, 1, 1],
    [8, 512, 2, 2048, 1, 1],
    [8, 2048, 2, 512, 1, 1],
    [8, 1024, 4, 2048, 1, 2],
  ],
};
const KINDS = ['output', 'weight', 'input'] as const;
const RUNS = 8;

async function gigaflops(work: ConvWork): Promise<string> {
  const cells: string[] = [];
  for (const [index, form] of convForms(work).entries()) {
    const trial = await startTrial(work, form);
    for (let run = 0; run < RUNS; run++) trial.bestMs = Math.min(trial.bestMs, await trial.time());
    await trial.release();
    cells.push(`${form}${index === 0 ? '*' : ''} ${rate(work, trial.bestMs)}`);
  }
  return cells.join('  ');
}

function rate({ signature }: ConvWork, ms: number): string {
  return (convFlops(signature) / ms / 1e6).toFixed(0);
}

async function benchLayer(layer: Layer, torchMs: readonly number[]): Promise<void> {
  const [batch, channels, size, outputs, kernel, stride] = layer;
  const [x, weight] = [
    [batch, channels, size, size],
    [outputs, channels, kernel, kernel],
  ] as const;
  const pads = Array<number>(4).fill(Math.floor(kernel / 2));
  const attributes = { strides: [stride, stride], pads };
  const signature = convSignatureOf(
    { operator: 'Conv', name: 'layer', inputs: [], attributes },
    x,
    weight,
  );
  console.log(`[${x.join(', ')}] by [${weight.join(', ')}], stride ${stride}`);
  for (const [index, kind] of KINDS.entries()) {
    const work = { kind, signature };
    console.log(
      `  ${kind.padEnd(7)} PyTorch ${rate(work, torchMs[index] ?? 0).padStart(4)}  ` +
        (await gigaflops(work)),
    );
  }
}

const names = process.argv.slice(2);
console.log(`${machine()}; GFLOP/s on one thread`);
for (const [name, layers] of Object.entries(NETWORKS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  console.log(`\n${name}`);
  const torchMs = pytorchJson('convolutions.py', [JSON.stringify(layers)]) as number[][];
  for (const [index, layer] of layers.entries()) await benchLayer(layer, torchMs[index] ?? []);
}
