/**
 * Builds of Lockstep that launches have left on a host. The newest two stay, so that going back to
 * the one before needs no copy; so does every one that something runs from.
 */
import { inParallel } from './each-host.ts';
import type { Host } from './host.ts';
import type { LaunchHost } from './launch-host.ts';
import { LAUNCH_FOLDER } from './processes.ts';
import { quote, quotePath } from './quote.ts';
import type { Runner } from './runner.ts';
import { isThere, PLAIN_SHELL, plainScript } from './sessions.ts';
import { HostError } from './ssh-failures.ts';

const KEPT = 2;
/** Each has thousands of files. */
const REMOVE_MS = 120_000;
/** What `packageId` makes: nothing else in the folder is touched. */
const OURS = `[0-9]*.[0-9]*.[0-9]*-${'[0-9a-f]'.repeat(12)}`;

/** Removes builds from hosts that have more than they need, and tells of each. */
export async function removeOldPackages(
  runner: Runner,
  hosts: readonly LaunchHost[],
  packageName: string,
  tell: (line: string) => void,
): Promise<void> {
  const full = hosts.filter(({ packages }) => new Set([...packages, packageName]).size > KEPT);
  await inParallel(full, async ({ host }) => {
    try {
      const options = { stdin: removalScript(host, packageName), deadlineMs: REMOVE_MS };
      const { stdout } = await runner.run(host, PLAIN_SHELL, options);
      for (const line of stdout.split('\n'))
        if (/^removed [\w.+-]{1,100}$/.test(line)) tell(`${host.name}: ${line}, an old build`);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      // It takes room, and nothing else.
      tell(`${host.name}: old builds are still there: ${error.what}`);
    }
  });
}

/**
 * The script that removes old builds, by the time at which they were copied, and prints
 * `removed <name>` of each. That of sessions which run is told by their scripts, that of other
 * programs by the list of processes; where there is none, nothing is removed.
 */
export function removalScript({ workdir }: Host, packageName: string): string {
  const current = quote(packageName);
  return plainScript([
    `cd ${quotePath(workdir)}/packages || exit 1`,
    'processes=$(ps -A -o args) || exit 1',
    'kept=0',
    `for p in ${current} $(ls -1t); do`,
    `  case $p in ${OURS}) ;; *) continue ;; esac`,
    '  [ -f "$p/package.json" ] && [ ! -L "$p" ] || continue',
    `  if [ "$p" = ${current} ]; then [ $kept -gt 0 ] || kept=1; continue; fi`,
    '  kept=$((kept + 1))',
    `  [ $kept -gt ${KEPT} ] || continue`,
    '  case $processes in *"packages/$p/"*) continue ;; esac',
    '  used=',
    `  for f in ../${LAUNCH_FOLDER}/*.sh; do`,
    '    grep -q -F "packages/$p/" "$f" 2>/dev/null || continue',
    '    s=${f##*/}; s=${s%.sh}',
    `    if ${isThere('$s', `../${LAUNCH_FOLDER}`)}; then used=yes; fi`,
    '  done',
    '  [ -n "$used" ] || { rm -rf "./$p" && echo "removed $p"; }',
    'done',
  ]);
}
