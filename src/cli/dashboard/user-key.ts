/** The key by which programs of a user read dashboards: scrapers of metrics, scripts. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readSecretText, writeSecretText } from '../../access/secret-file.ts';
import { LockstepError } from '../../base/errors.ts';

const KEY_BYTES = 32;
const KEY = /^[\w-]{43}$/;

/**
 * The key of this user, in a file that only its owner may read; it is made where there is none.
 * When the file cannot be used `onProblem` is told, and no program can read the dashboard.
 */
export function userKey(
  accessFolder: string,
  onProblem: (problem: string) => void,
): string | undefined {
  const path = join(accessFolder, 'dashboard-key');
  try {
    const kept = readSecretText(path)?.trim() ?? '';
    if (KEY.test(kept)) return kept;
    const made = randomBytes(KEY_BYTES).toString('base64url');
    writeSecretText(path, made);
    return made;
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    onProblem(`programs cannot read the dashboard, browsers can: ${error.message}`);
    return undefined;
  }
}
