/**
 * What a model loses by local steps, and how many bytes they save: `sync` and `local-sgd` on the
 * same samples, two workers, all that is exchanged going through the coordinator.
 *
 *   npm run bench -- strategies             MNIST and a small gpt, ten minutes
 *   npm run bench -- strategies --epochs 1
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockstepJson, machine } from './lib/processes.ts';

const GPT = ['--model', 'gpt', '--layers', '1', '--width', '32', '--sequence-length', '32'];
const TASKS: Readonly<Record<string, readonly string[]>> = {
  mnist: ['--epochs', '5'],
  gpt: [...GPT, '--dataset', 'moby_dick', '--epochs', '4'],
};
const LOCAL_SGD = ['--strategy', 'local-sgd'];
const STRATEGIES: readonly (readonly string[])[] = [
  [],
  LOCAL_SGD,
  [...LOCAL_SGD, '--compress', 'int8'],
  [...LOCAL_SGD, '--compress', 'int8', '--outer-lr', '1'],
  [...LOCAL_SGD, '--compress', 'topk'],
  [...LOCAL_SGD, '--compress', 'topk', '--outer-lr', '1'],
];

function main(flags: readonly string[]): void {
  console.log(machine());
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-strategies-'));
  try {
    for (const [task, settings] of Object.entries(TASKS)) {
      const place = ['--out-dir', folder, '--workers', '2', '--collective', 'star'];
      let syncBytes: number | undefined;
      for (const [index, strategy] of STRATEGIES.entries()) {
        const name = ['--name', `${task}-${index}`];
        const args = ['train', ...place, ...name, ...settings, ...strategy, ...flags];
        const { testAccuracy, testLoss, bytesSent } = lockstepJson(args);
        syncBytes ??= Number(bytesSent);
        console.log(
          `${task} ${strategy.join(' ') || 'sync'}: accuracy ${percent(testAccuracy)}, loss ` +
            `${Number(testLoss).toFixed(4)}, ${(Number(bytesSent) / 1e6).toFixed(1)} MB, ` +
            `${(syncBytes / Number(bytesSent)).toFixed(0)} times fewer than sync`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function percent(part: unknown): string {
  return `${(100 * Number(part)).toFixed(2)} %`;
}

main(process.argv.slice(2));
