/**
 * Residual networks: stages of blocks whose output is added to their input.
 *
 * Source: He et al. 2015, "Deep residual learning for image recognition"; layout, names and initial
 *         weights as in torchvision, which puts a bottleneck's stride into its 3x3 convolution.
 */
import type { ValueInfo } from '../graph/values/types.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask } from './model.ts';
import { defineModel, type Net } from './net.ts';
import { imageSizeOf } from './task-checks.ts';

type ResnetSettings = SettingsOf<typeof RESNET18_SETTINGS>;

/**
 * Draws a block's own branch: [B, in, H, W] -> [B, out, H / stride, W / stride], before the sum.
 */
interface BlockKind {
  /** Channels of the output per unit of width. */
  readonly expansion: number;
  readonly draw: (net: Net, x: ValueInfo, width: number, stride: number) => ValueInfo;
}

/** Two 3x3 convolutions. */
const BASIC: BlockKind = {
  expansion: 1,
  draw(net, x, width, stride) {
    const h = net.g.relu(convAndNorm(net, 1, x, width, 3, stride));
    return convAndNorm(net, 2, h, width, 3, 1);
  },
};

/** 1x1 to fewer channels, 3x3, 1x1 to four times as many. */
const BOTTLENECK: BlockKind = {
  expansion: 4,
  draw(net, x, width, stride) {
    let h = net.g.relu(convAndNorm(net, 1, x, width, 1, 1));
    h = net.g.relu(convAndNorm(net, 2, h, width, 3, stride));
    return convAndNorm(net, 3, h, 4 * width, 1, 1);
  },
};

const RESNET18_SETTINGS = {
  layers: [2, 2, 2, 2],
  width: 64,
  stem: 'auto',
} as const satisfies Partial<ArchitectureSettings>;

/** Residual blocks of two 3x3 convolutions; 11,689,512 parameters for photos of 1000 classes. */
export const RESNET18: ModelKind = defineModelKind({
  name: 'resnet18',
  summary: 'residual network of basic blocks, for images',
  settings: RESNET18_SETTINGS,
  make: (task, settings) => makeResnet('resnet18', task, settings, BASIC),
});

/** Residual blocks with a bottleneck; 25,557,032 parameters for photos of 1000 classes. */
export const RESNET50: ModelKind = defineModelKind({
  name: 'resnet50',
  summary: 'residual network of bottleneck blocks, for images',
  settings: { ...RESNET18_SETTINGS, layers: [3, 4, 6, 3] },
  make: (task, settings) => makeResnet('resnet50', task, settings, BOTTLENECK),
});

function makeResnet(
  name: string,
  task: ModelTask,
  settings: ResnetSettings,
  block: BlockKind,
): Model {
  const { layers, width } = settings;
  const hasSmallStem = isStemSmall(name, task, settings);
  return defineModel(name, task, (net, x) => {
    // [B, width, H', W']
    let h = hasSmallStem ? drawSmallStem(net, x, width) : drawLargeStem(net, x, width);
    layers.forEach((count, stage) => {
      for (let i = 0; i < count; i++) {
        const stride = stage > 0 && i === 0 ? 2 : 1;
        h = net.within(`layer${stage + 1}.${i}`, () =>
          drawBlock(net, h, width * 2 ** stage, stride, block),
        );
      }
    });
    h = net.g.flatten(net.g.globalAveragePool(h)); // [B, channels of the last stage]
    return net.linear('fc', h, outputSizeOf(task)); // [B, outputs]
  });
}

/**
 * Below this many pixels a large stem, which divides each side by 4, leaves too few for the stages.
 */
const LARGE_STEM_PIXELS = 64;

function isStemSmall(name: string, task: ModelTask, { stem }: ResnetSettings): boolean {
  const { height, width } = imageSizeOf(name, task, 1);
  return stem === 'auto' ? Math.min(height, width) < LARGE_STEM_PIXELS : stem === 'small';
}

/** The beginning for photographs: each side divided by 4. */
function drawLargeStem(net: Net, x: ValueInfo, width: number): ValueInfo {
  const h = net.g.relu(convAndNorm(net, 1, x, width, 7, 2));
  return net.g.maxPool(h, { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
}

/** The beginning for thumbnails such as CIFAR's: the size stays. */
function drawSmallStem(net: Net, x: ValueInfo, width: number): ValueInfo {
  return net.g.relu(convAndNorm(net, 1, x, width, 3, 1));
}

function drawBlock(
  net: Net,
  x: ValueInfo,
  width: number,
  stride: number,
  block: BlockKind,
): ValueInfo {
  const channels = width * block.expansion;
  const branch = block.draw(net, x, width, stride);
  const isSameShape = stride === 1 && x.shape[1] === channels;
  const shortcut = isSameShape
    ? x
    : net.within('downsample', () => drawDownsample(net, x, channels, stride));
  return net.g.relu(net.g.add(branch, shortcut)); // [B, channels, H / stride, W / stride]
}

function drawDownsample(net: Net, x: ValueInfo, channels: number, stride: number): ValueInfo {
  return net.batchNorm2d('1', convWithoutBias(net, '0', x, channels, 1, stride));
}

/** `conv<i>` and `bn<i>`: the convolution needs no bias, the normalisation has one. */
function convAndNorm(
  net: Net,
  index: number,
  x: ValueInfo,
  channels: number,
  kernel: number,
  stride: number,
): ValueInfo {
  return net.batchNorm2d(
    `bn${index}`,
    convWithoutBias(net, `conv${index}`, x, channels, kernel, stride),
  );
}

function convWithoutBias(
  net: Net,
  name: string,
  x: ValueInfo,
  channels: number,
  kernel: number,
  stride: number,
): ValueInfo {
  // He et al. 2015, "Delving deep into rectifiers", by the number of outputs that an input reaches.
  const weightInit = { kind: 'normal', std: Math.sqrt(2 / (channels * kernel ** 2)) } as const;
  const padding = (kernel - 1) / 2;
  return net.conv2d(name, x, channels, kernel, { stride, padding, hasBias: false, weightInit });
}
