import { quoteAll } from './quote.ts';
import type { SshTarget } from './host.ts';
import type { RemoteOptions, RemoteResult, Ssh } from './ssh.ts';

/** Who runs command lines on hosts: ssh, or in a dry run nobody. */
export interface Runner {
  /** Throws: HostError when the host cannot be reached or does not answer in time. */
  run(host: SshTarget, command: string, options?: RemoteOptions): Promise<RemoteResult>;
}

/** Prints each command as a shell takes it, in place of running it; all of them succeed. */
export class DryRunner implements Runner {
  readonly #ssh: Ssh;
  readonly #print: (line: string) => void;

  constructor(ssh: Ssh, print: (line: string) => void) {
    this.#ssh = ssh;
    this.#print = print;
  }

  async run(host: SshTarget, command: string, options: RemoteOptions = {}): Promise<RemoteResult> {
    const line = quoteAll(this.#ssh.commandLine(host, command));
    const { stdin = '' } = options;
    if (typeof stdin !== 'string') this.#print(`${line} <package.tar.gz`);
    else if (stdin === '') this.#print(`${line} </dev/null`);
    else this.#print(`${line} <<'END'\n${stdin.trimEnd()}\nEND`);
    return Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
  }
}
