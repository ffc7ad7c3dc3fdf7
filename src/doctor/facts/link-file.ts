/** The file with the link to join a run, as far as it can be judged without using it. */
import { readFileSync, statSync } from 'node:fs';
import { type JoinLink, parseJoinLink } from '../../access/join-link.ts';
import { messageOf } from '../../base/errors.ts';
import type { LinkFile } from '../checks/machine-facts.ts';

const MAX_BYTES = 64 << 10;
const OTHERS = 0o077;

/** Looks at it; what it holds is never told. */
export function gatherLinkFile(path: string): LinkFile {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > MAX_BYTES) return { path, problem: 'it is no link' };
    const text = readFileSync(path, 'utf8');
    if (text.trim() === '') return { path, problem: 'it is empty' };
    parseJoinLink(text);
    const isOpen = process.platform !== 'win32' && (stats.mode & OTHERS) !== 0;
    return { path, ...(isOpen && { isOpen }) };
  } catch (error) {
    return { path, problem: messageOf(error) };
  }
}

/** The link in a file; undefined when there is none that could be used. */
export function linkIn(path: string): JoinLink | undefined {
  return gatherLinkFile(path).problem === undefined
    ? parseJoinLink(readFileSync(path, 'utf8'))
    : undefined;
}
