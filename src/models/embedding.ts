/** MiniCluster's embedding workload: a bag of tokens, as recommendation models have them. */
import type { ArchitectureSettings } from './architecture-settings.ts';
import { defineModelKind, type ModelKind, type SettingsOf } from './model-kind.ts';
import { outputSizeOf, type Model, type ModelTask } from './model.ts';
import { defineModel } from './net.ts';
import { requireOneAnswer, tokenSequenceOf } from './task-checks.ts';

const SETTINGS = {
  width: 128,
  feedForward: 256,
  tokenTable: undefined,
} as const satisfies Partial<ArchitectureSettings>;

/**
 * Tokens [T] -> the mean of their embeddings -> linear, ReLU -> linear -> outputs.
 *
 * Parameters: `embedding.weight` [rows, width], `fc1`, `fc2`; for 10,000 tokens and one output
 *             1,313,281.
 */
export const EMBEDDING: ModelKind = defineModelKind({
  name: 'embedding',
  summary: "MiniCluster's bag of token embeddings, for tokens in any order",
  usualDataset: 'token_bags',
  settings: SETTINGS,
  make: makeEmbedding,
});

function makeEmbedding(
  task: ModelTask,
  { width, feedForward, tokenTable }: SettingsOf<typeof SETTINGS>,
): Model {
  requireOneAnswer('embedding', task);
  const table = tokenSequenceOf('embedding', task, { tokenTable });
  return defineModel('embedding', task, (net, ids) => {
    const { g } = net;
    const each = net.embedding('embedding', ids, table.tokens, width); // [B, T, width]
    const bag = g.reduceMean(each, { axes: [1] }); // [B, width]
    const h = g.relu(net.linear('fc1', bag, feedForward)); // [B, feedForward]
    return net.linear('fc2', h, outputSizeOf(task)); // [B, outputs]
  });
}
