/** The network of the heterogeneous-cluster trainer: three convolutions, two linear layers. */
import type { ArchitectureSettings } from './architecture-settings.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask } from './model.ts';
import { defineModel } from './net.ts';
import { imageSizeOf } from './task-checks.ts';

/** Each convolution is followed by a 2x2 pooling layer; something must be left after the third. */
const SMALLEST_IMAGE = 8;

const SETTINGS = { width: 64, dropout: 0.5 } as const satisfies Partial<ArchitectureSettings>;

/**
 * Images [C, H, W] -> 3 (convolution, ReLU, pooling) -> linear, ReLU, dropout -> linear -> outputs.
 *
 * Parameters: `conv1` to `conv3` with `width`, 2 and 4 times `width` channels, `fc1` with 8 times
 *             `width` units, `fc2`; at width 64 for 3x32x32 images of 10 classes 2,473,610.
 * Images may have any size from 8x8; rows that do not fill a pooling window are left out.
 */
export const SIMPLE_CNN: ModelKind = defineModelKind({
  name: 'simple_cnn',
  summary: 'three convolutions and two linear layers, for images from 8x8',
  settings: SETTINGS,
  make: makeSimpleCnn,
});

function makeSimpleCnn(task: ModelTask, { width, dropout }: SettingsOf<typeof SETTINGS>): Model {
  imageSizeOf('simple_cnn', task, SMALLEST_IMAGE);
  return defineModel('simple_cnn', task, (net, x) => {
    const { g } = net;
    let h = x; // [B, C, H, W]
    for (const [i, channels] of [width, 2 * width, 4 * width].entries()) {
      // [B, channels, H / 2^i, W / 2^i]
      h = net.conv2d(`conv${i + 1}`, h, channels, 3, { padding: 1 });
      // The same numbers and gradients as with the ReLU first, on a quarter of the elements.
      h = g.relu(g.maxPool(h, { kernel: [2, 2], strides: [2, 2] }));
    }
    h = g.flatten(h); // [B, 4 width (H / 8) (W / 8)]
    h = g.relu(net.linear('fc1', h, 8 * width)); // [B, 8 width]
    return net.linear('fc2', net.dropout(h, dropout), outputSizeOf(task)); // [B, outputs]
  });
}
