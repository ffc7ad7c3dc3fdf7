#!/usr/bin/env node
/**
 * What `npx lockstep` runs. In a clone it first brings dist/ up to date with src/; an installed
 * package has no src/. Lockstep sets LOCKSTEP_NO_BUILD=1 for the processes it starts: they run the
 * build of their parent.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Gives false, with a message on stderr, when there is no build to run. */
async function prepareDist() {
  if (process.env.LOCKSTEP_NO_BUILD === '1' || !existsSync(`${root}src`)) return true;
  const { BuildError, buildIfStale } = await import('../scripts/build.mjs');
  try {
    buildIfStale(root);
    return true;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    return false;
  }
}

if (await prepareDist()) await import('../dist/cli/main.js');
else process.exitCode = 1;
