/** Whether this machine can listen somewhere, and who does already. */
import { LockstepError } from '../../base/errors.ts';
import { type Address, listen } from '../../transport/tcp.ts';
import type { Doorway } from '../checks/machine-facts.ts';
import { outputOf } from './run-program.ts';

/** Opens a door and closes it again. */
export async function gatherDoorway({ host, port }: Address): Promise<Doorway> {
  try {
    const listener = await listen({ host, port }, (connection) => connection.destroy());
    await listener.close();
    return { host, port };
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    const code = error.context['systemCode'];
    const problem = typeof code === 'string' ? code : error.message;
    const holder = problem === 'EADDRINUSE' ? await holderOf(port) : undefined;
    return { host, port, problem, ...(holder !== undefined && { holder }) };
  }
}

async function holderOf(port: number): Promise<string | undefined> {
  const text =
    process.platform === 'linux'
      ? await outputOf('ss', ['-ltnpH', `sport = :${port}`])
      : await outputOf('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fcp']);
  return text === undefined ? undefined : parseHolder(text);
}

/** The program in what `ss` or `lsof` say: `users:(("node",pid=812,fd=20))`, `p812` and `cnode`. */
export function parseHolder(text: string): string | undefined {
  const [, name, id] = /\(\("([^"]+)",pid=(\d+)/.exec(text) ?? [];
  if (name !== undefined) return `${name} (process ${id})`;
  const [, process, command] = /^p(\d+)\nc(.*)$/m.exec(text) ?? [];
  return process === undefined ? undefined : `${command} (process ${process})`;
}
