/** What a network from a file is, before there are data for it. */
import type { GraphFile } from '../../graph/types.ts';
import type { ValueInfo } from '../../graph/values/types.ts';
import { notesOnWeights } from './import-notes.ts';
import { networkOf } from './imported-fit.ts';
import { statisticMomenta } from './imported-parameters.ts';
import { weightsOf } from './imported-probe.ts';

/** What a network from a file is made of. */
export interface NetworkDescription {
  readonly input: ValueInfo;
  readonly output: ValueInfo;
  /**
   * Names for `freeze`. A weight is trained if a gradient reaches it; a running statistic follows
   * the data in training.
   */
  readonly weights: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly role: 'weight' | 'running statistic';
  }[];
  /** Elements of all weights; running statistics are not counted. */
  readonly weightCount: number;
  /** How often each operator occurs. */
  readonly operators: Readonly<Record<string, number>>;
  /** What training will not do, because the file does not say it. */
  readonly notes: readonly string[];
}

/** Describes the network in a file. Throws ShapeError unless it has one input and one output. */
export function describeNetwork(file: GraphFile): NetworkDescription {
  const { input, output } = networkOf(file);
  const momenta = statisticMomenta(file.nodes);
  const weights = weightsOf(file).map(({ name, shape }) => ({
    name,
    shape,
    role: momenta.has(name) ? ('running statistic' as const) : ('weight' as const),
  }));
  const elements = weights
    .filter(({ role }) => role === 'weight')
    .map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const operators: Record<string, number> = {};
  for (const { operator } of file.nodes) operators[operator] = (operators[operator] ?? 0) + 1;
  return {
    input,
    output,
    weights,
    weightCount: elements.reduce((a, b) => a + b, 0),
    operators,
    notes: [
      ...notesOn(input, operators),
      ...notesOnWeights(
        file,
        new Set(weights.flatMap(({ name, role }) => (role === 'weight' ? name : []))),
      ),
    ],
  };
}

function notesOn(input: ValueInfo, operators: Readonly<Record<string, number>>): string[] {
  const isBare =
    operators['Dropout'] === undefined && operators['BatchNormalization'] === undefined;
  return [
    ...(typeof input.shape[0] === 'number'
      ? [
          `exported for batches of ${input.shape[0]}; other sizes are tried where no Reshape ` +
            'needs that number',
        ]
      : []),
    ...(isBare
      ? [
          'no Dropout and no BatchNormalization: if the network has them, export it with ' +
            'training=torch.onnx.TrainingMode.TRAINING, or they are left out',
        ]
      : []),
  ];
}
