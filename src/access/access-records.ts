/** What the coordinator's machine keeps of tokens and of the credentials that came of them. */
import * as z from 'zod';
import { ROLES } from './token.ts';

/** A token on disk: the key that follows from its secret, never the secret. */
export const tokenRecord = z.object({
  id: z.string(),
  role: z.enum(ROLES),
  /** Hex. */
  key: z.string(),
  createdMs: z.number(),
  expiresMs: z.number(),
  /** Credentials that it may be traded for. */
  maxUses: z.number().int(),
  note: z.string(),
  revokedMs: z.number().optional(),
});
/** A token on disk. */
export type TokenRecord = z.infer<typeof tokenRecord>;

/** What one worker got for a token. */
export const credentialRecord = z.object({
  id: z.string(),
  tokenId: z.string(),
  role: z.enum(ROLES),
  /** Hex. */
  key: z.string(),
  createdMs: z.number(),
  expiresMs: z.number(),
  /** Who got it, in its own words. */
  holder: z.string(),
  /** A person has let it in. */
  isApproved: z.boolean().optional(),
  revokedMs: z.number().optional(),
});
/** A credential on disk. */
export type CredentialRecord = z.infer<typeof credentialRecord>;
