import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder of this user's tokens and credentials: LOCKSTEP_HOME, else in the usual place. */
export function accessFolder(environment: NodeJS.ProcessEnv): string {
  const { LOCKSTEP_HOME: own, XDG_CONFIG_HOME: config } = environment;
  if (own !== undefined && own !== '') return own;
  return join(
    config !== undefined && config !== '' ? config : join(homedir(), '.config'),
    'lockstep',
  );
}
