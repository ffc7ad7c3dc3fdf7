/** The program that measures links, to be run by Node.js on machines that may have no Lockstep. */
import { readFileSync } from 'node:fs';
import { siblingModule } from '../base/module-url.ts';

/**
 * Words that run one end with `node`, in letters that no shell changes inside single quotes: `door`
 * or `dial`, see `link-end-process.ts`.
 */
export function linkEndWords(node: string, end: 'door' | 'dial'): readonly string[] {
  const program = readFileSync(siblingModule(import.meta.url, 'link-end-process'), 'base64');
  return [node, '-e', `import("data:text/javascript;base64,${program}")`, end];
}
