/** Runs that quick tests and long ones have in common, by their flags. */
import { join } from 'node:path';
import { REPOSITORY } from './processes.ts';

/**
 * A network exported from PyTorch with two BatchNorms and a Dropout, on images that are shifted and
 * mirrored.
 */
export const CNN: readonly string[] = [
  ...['--model', join(REPOSITORY, 'test/fixtures/onnx/cnn-13.onnx')],
  ...['--dataset', 'synthetic_image'],
  ...['--image-size', '28', '--channels', '1', '--classes', '10', '--samples', '300'],
  ...['--augment', 'crop-flip', '--clip-norm', '1', '--optimizer', 'adamw', '--lr', '0.003'],
  ...['--micro-batch', '8', '--global-batch', '48', '--steps', '240', '--eval-every', '120'],
  ...['--seed', '7'],
];

/** Seventeen shards of three steps. */
export const DIGITS: readonly string[] = [
  ...['--strategy', 'rounds', '--model', 'mlp', '--hidden', '64', '--dataset', 'digits'],
  ...['--seed', '7', '--shards', '17', '--global-batch', '32', '--rounds', '3'],
];
