import type {
  AugmentName,
  BadRowAction,
  NormaliseName,
  TokenKind,
} from '../config/train-config.ts';

/**
 * How a data set is made or read, where it leaves a choice; each is explained in `TRAIN_OPTIONS`.
 */
export interface DatasetSettings {
  readonly samples: number;
  readonly classes?: number | undefined;
  readonly imageSize?: number | undefined;
  readonly channels: number;
  readonly sequenceLength: number;
  readonly vocabulary?: number | undefined;
  readonly textTokens: TokenKind;
  readonly labelColumn?: string | undefined;
  readonly onBadRow: BadRowAction;
  readonly normalise: NormaliseName;
  readonly augment: AugmentName;
}
