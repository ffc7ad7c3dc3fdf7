#!/usr/bin/env node
/**
 * What `npx lockstep` runs. In a clone it first brings dist/ up to date with src/; an installed
 * package has no src/. Lockstep sets LOCKSTEP_NO_BUILD=1 for the processes it starts: they run the
 * build of their parent.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nodeProblem, startProblem } from './start-problem.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Builds if need be. Throws BuildError, with a message for the user. */
async function prepareDist() {
  if (process.env.LOCKSTEP_NO_BUILD === '1' || !existsSync(`${root}src`)) return;
  const { buildIfStale } = await import('../scripts/build.mjs');
  buildIfStale(root);
}

/** What keeps the program from running, in words; undefined when it has run. */
async function run() {
  const problem = nodeProblem(root);
  if (problem !== undefined) return `error: ${problem}`;
  try {
    await prepareDist();
    await import('../dist/cli/main.js');
    return undefined;
  } catch (error) {
    if (error.name === 'BuildError') return error.message;
    const reason = startProblem(root, error);
    if (reason === undefined) throw error;
    return `error: ${reason}`;
  }
}

const problem = await run();
if (problem !== undefined) {
  console.error(problem);
  process.exitCode = 1;
}
