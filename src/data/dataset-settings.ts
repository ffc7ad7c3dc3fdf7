/** How a data set is made or read, where it leaves a choice. */

/** What a token of a text may be. */
export const TOKEN_KINDS = ['char', 'byte'] as const;
/** One of `TOKEN_KINDS`. */
export type TokenKind = (typeof TOKEN_KINDS)[number];

/** What may be done about a row or an image that cannot be used. */
export const BAD_ROW_ACTIONS = ['stop', 'skip'] as const;
/** One of `BAD_ROW_ACTIONS`. */
export type BadRowAction = (typeof BAD_ROW_ACTIONS)[number];

/** What features may be brought to. */
export const NORMALISE_NAMES = ['auto', 'none'] as const;
/** One of `NORMALISE_NAMES`. */
type NormaliseName = (typeof NORMALISE_NAMES)[number];

/** What may be done to training images at random. */
export const AUGMENT_NAMES = ['none', 'crop-flip'] as const;
/** One of `AUGMENT_NAMES`. */
type AugmentName = (typeof AUGMENT_NAMES)[number];

/** The choices that a loader follows; each is explained in `DATA_OPTIONS`. */
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
