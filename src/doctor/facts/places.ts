/** Folders that are written to, and whether they can be. */
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { Place } from '../checks/machine-facts.ts';

/** What is known of the folders that Lockstep writes to; `runs` is where runs are put. */
export function gatherPlaces(runs: string, environment: NodeJS.ProcessEnv): Place[] {
  const cache = join(environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'lockstep');
  const places = [
    lookAt(runs, 'runs'),
    lookAt(cache, 'cache'),
    lookAt(tmpdir(), 'temporary files'),
    ...(existsSync('/dev/shm') ? [lookAt('/dev/shm', 'shared memory')] : []),
  ];
  // Those on one file system have the same to say: the first of them says it.
  return places.filter(
    (place, index) =>
      place.problem !== undefined ||
      places.findIndex(
        ({ freeBytes, problem }) => problem === undefined && freeBytes === place.freeBytes,
      ) === index,
  );
}

function lookAt(wanted: string, purpose: Place['purpose']): Place {
  const folder = nearestThatIs(resolve(wanted));
  try {
    accessSync(folder, constants.W_OK);
    const { bsize, blocks, bavail, files, ffree } = statfsSync(folder);
    if (blocks === 0) return { folder, purpose };
    // No room for one more file is no room.
    return { folder, purpose, freeBytes: files > 0 && ffree === 0 ? 0 : bsize * bavail };
  } catch (error) {
    return { folder, purpose, problem: messageOf(error) };
  }
}

/** A folder that is to be made is on the disk of the one that it will be in. */
function nearestThatIs(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearestThatIs(dirname(folder));
}
