/** What is said of an operator that we do not have: what to use instead, or which one is near. */
import { closestName } from '../../base/closest-name.ts';
import { GraphError } from '../../base/errors.ts';
import { OPERATORS } from '../operators/operators.ts';
import type { DecodedNode } from './decode-model.ts';

const INSTEAD: readonly (readonly [operators: RegExp, advice: string])[] = [
  [
    /^(?:LSTM|GRU|RNN)$/,
    'Recurrent layers are not trained here: use attention (nn.TransformerEncoder) or convolutions ' +
      'over time (nn.Conv1d)',
  ],
  [
    /^(?:If|Loop|Scan)$|Sequence|^Optional/,
    'What is computed must not depend on values: export by tracing, not by torch.jit.script, with ' +
      'loops of a fixed length',
  ],
  [/Integer$|Quantize|^QLinear/, 'Export the network before it is quantized'],
  [
    /^(?:NonZero|Unique|Compress|TopK|NonMaxSuppression|RoiAlign|MaxRoiPool)$/,
    'Leave the choice among results to what comes behind the network',
  ],
  [/^(?:Random|Bernoulli|Multinomial)/, 'The only random numbers in training are those of Dropout'],
  [/Loss$/, 'The loss is added here (--loss): export the network without it'],
  [
    /Window$|^(?:DFT|STFT|MelWeightMatrix|StringNormalizer|TfIdfVectorizer)$/,
    'Prepare the data before training, and leave this out of the network',
  ],
  [
    /^(?:GroupNormalization|Mish|CastLike)$/,
    'Export it with opset_version=17, which spells it out',
  ],
  [/^(?:LRN|MeanVarianceNormalization)$/, 'Use nn.GroupNorm or nn.InstanceNorm2d'],
  [/^LpNormalization$/, 'Write it as x / x.norm(dim=-1, keepdim=True)'],
  [/^SpaceToDepth$/, 'Write it with view, permute and reshape'],
  [/^(?:GridSample|AffineGrid)$/, 'Use F.interpolate, of mode nearest or bilinear'],
  [/^(?:Hardmax|Shrink|ThresholdedRelu)$/, 'Write it with torch.where'],
  [/^Mean$/, 'Write it as a sum and a product'],
  [/^(?:Acos|Asin|Atan|Cosh|Sinh|Tan|Acosh|Asinh|Atanh)$/, 'Known are Sin, Cos and Tanh'],
];

/** The error for a node whose operator we do not have: names both, and what to do. */
export function unknownOperator({
  operator,
  name,
}: Pick<DecodedNode, 'operator' | 'name'>): GraphError {
  const [, advice] = INSTEAD.find(([operators]) => operators.test(operator)) ?? [];
  const near = closestName(operator, Object.keys(OPERATORS));
  const nearest = near === undefined ? '' : `The nearest is ${near}; `;
  const list = 'docs/your-network.md lists all that are';
  return new GraphError(
    `${operator} at ${name}: not an operator that is read. ${advice ?? nearest + list}.`,
    { operator, node: name },
  );
}
