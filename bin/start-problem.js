/**
 * What keeps Lockstep from starting, in a sentence: a Node.js that is too old, an installation with
 * holes, files that this user may not read. Plain JavaScript that an old Node.js reads, too, and
 * that needs no dist/.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Why `version` of Node.js, as `20.19.0`, is not enough for the package in `root`; undefined when it
 * is.
 */
export function nodeProblem(root, version = process.versions.node) {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [, least] = /^>=([\d.]+)$/.exec((engines && engines.node) || '') || [];
  if (least === undefined || !isLess(version, least)) return undefined;
  return (
    `Lockstep needs Node.js ${least} or newer, and this is ${version} (${process.execPath}). ` +
    'Install a newer one from https://nodejs.org, or by your version manager.'
  );
}

/** Compares numbers that are separated by dots; what is missing counts as 0. */
function isLess(version, least) {
  const [a, b] = [version, least].map((text) => text.split('.').map(Number));
  const at = b.findIndex((number, i) => number !== (a[i] || 0));
  return at >= 0 && (a[at] || 0) < b[at];
}

/**
 * Why loading the program in `root` threw `error`; undefined when that tells of a mistake of ours,
 * for which there is a stack trace.
 */
export function startProblem(root, error) {
  const dist = join(root, 'dist');
  const closed = closedPath(root, dist, error);
  if (closed !== undefined)
    return (
      `${closed} belongs to another user, and this one may not read it. Its owner changes that ` +
      `with \`chmod -R a+rX ${dist}\`; or install Lockstep for yourself.`
    );
  const again = existsSync(join(root, 'src'))
    ? `Run \`npm ci\` in ${root}, then \`npm run build\`.`
    : 'Install Lockstep again.';
  if (!existsSync(join(dist, 'cli', 'main.js')))
    return `Lockstep is not built: there is no ${join(dist, 'cli', 'main.js')}. ${again}`;
  const { code, message } = error;
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  const [missing] = message.split(' imported from ');
  return `Lockstep is not installed completely: ${missing.split('\n')[0]}. ${again}`;
}

/** What this user may not read, if that is what went wrong. */
function closedPath(root, dist, { code, path }) {
  if (code === 'EACCES' || code === 'EPERM') return path || root;
  return [dist, join(dist, 'cli'), join(dist, 'cli', 'main.js')].find(isClosed);
}

function isClosed(path) {
  try {
    accessSync(path, constants.R_OK);
    return false;
  } catch ({ code }) {
    return code === 'EACCES' || code === 'EPERM';
  }
}
