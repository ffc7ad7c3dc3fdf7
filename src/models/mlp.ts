/** The multilayer perceptron: Linear layers with an activation between them. */
import { ACTIVATIONS } from './activation.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask } from './model.ts';
import { defineModel } from './net.ts';
import { requireNumbers, requireOneAnswer } from './task-checks.ts';

const SETTINGS = {
  hidden: [256, 512],
  activation: 'relu',
} as const satisfies Partial<ArchitectureSettings>;

/**
 * features -> hidden[0] -> ... -> hidden[n-1] -> outputs; without hidden layers a regression.
 *
 * Parameters (shapes as in PyTorch's nn.Linear, and 1 to 3 % faster in ONNX Runtime than [in,
 * out]):
 *   `layers.<i>.weight` [out, in], `layers.<i>.bias` [out], uniform in +-1/sqrt(in).
 */
export const MLP: ModelKind = defineModelKind({
  name: 'mlp',
  summary: 'fully connected layers, for numbers of any shape',
  settings: SETTINGS,
  make: makeMlp,
});

function makeMlp(task: ModelTask, { hidden, activation }: SettingsOf<typeof SETTINGS>): Model {
  requireNumbers('mlp', task);
  requireOneAnswer('mlp', task);
  return defineModel('mlp', task, (net, x) => {
    let h = task.features.length === 1 ? x : net.g.flatten(x); // [B, in]
    hidden.forEach((size, i) => {
      h = net.linear(`layers.${i}`, h, size); // [B, size]
      h = ACTIVATIONS[activation](net.g, h);
    });
    return net.linear(`layers.${hidden.length}`, h, outputSizeOf(task)); // [B, outputs]
  });
}
