/**
 * MiniCluster's transformer workload: one block over a sequence of numbers, norms behind the sums.
 */
import type { ValueInfo } from '../graph/values/types.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { attend } from './attention.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask, type ParameterInit } from './model.ts';
import { defineModel, type Net } from './net.ts';
import { splitInThree } from './sequence-parts.ts';
import { checkedHeads, numberSequenceOf } from './task-checks.ts';

const ZEROS: ParameterInit = { kind: 'constant', value: 0 };

const SETTINGS = { heads: 4, feedForward: 1024 } as const satisfies Partial<ArchitectureSettings>;

/**
 * Sequences [T, D] -> attention, sum, norm -> feed-forward, sum, norm -> mean over positions ->
 * linear -> outputs.
 *
 * Parameters: `attn` as in PyTorch's nn.MultiheadAttention, `norm1`, `ffn.0`, `ffn.2`, `norm2`,
 *             `head`; for sequences of width 256 and one output 790,017.
 */
export const TRANSFORMER: ModelKind = defineModelKind({
  name: 'transformer',
  summary: "MiniCluster's transformer block, for sequences of numbers",
  usualDataset: 'number_sequences',
  settings: SETTINGS,
  make: makeTransformer,
});

function makeTransformer(
  task: ModelTask,
  { heads, feedForward }: SettingsOf<typeof SETTINGS>,
): Model {
  const { width } = numberSequenceOf('transformer', task);
  checkedHeads('transformer', heads, width);
  return defineModel('transformer', task, (net, x) => {
    const { g } = net;
    const seen = net.within('attn', () => drawSelfAttention(net, x, heads)); // [B, T, D]
    let h = net.layerNorm('norm1', g.add(x, seen)); // [B, T, D]
    const inner = g.relu(net.linear('ffn.0', h, feedForward)); // [B, T, feedForward]
    h = net.layerNorm('norm2', g.add(h, net.linear('ffn.2', inner, width))); // [B, T, D]
    return net.linear('head', g.reduceMean(h, { axes: [1] }), outputSizeOf(task)); // [B, outputs]
  });
}

/** [B, T, D] -> [B, T, D]; query, key, value from one matrix, uniform in +-sqrt(6 / (in + out)). */
function drawSelfAttention(net: Net, x: ValueInfo, heads: number): ValueInfo {
  const width = Number(x.shape.at(-1));
  const bound = Math.sqrt(6 / (4 * width));
  const weight = net.parameter('in_proj_weight', [3 * width, width], { kind: 'uniform', bound });
  const bias = net.parameter('in_proj_bias', [3 * width], ZEROS);
  const all = net.affine(x, weight, bias, { transposed: true }); // [B, T, 3 D]
  const [query, key, value] = splitInThree(net.g, all);
  return net.linear('out_proj', attend(net, query, key, value, { heads }), width, {
    biasInit: ZEROS,
  });
}
