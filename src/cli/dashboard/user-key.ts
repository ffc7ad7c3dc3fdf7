/** The key by which programs of a user read dashboards: scrapers of metrics, scripts. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readSecretText, writeSecretText } from '../../access/secret-file.ts';

const KEY_BYTES = 32;
const KEY = /^[\w-]{43}$/;

/**
 * The key of this user, in a file that only its owner may read; it is made where there is none.
 * Throws: FILE_FAILED when it cannot be read or written.
 */
export function userKey(accessFolder: string): string {
  const path = join(accessFolder, 'dashboard-key');
  const kept = readSecretText(path)?.trim() ?? '';
  if (KEY.test(kept)) return kept;
  const made = randomBytes(KEY_BYTES).toString('base64url');
  writeSecretText(path, made);
  return made;
}
