/** What all commands of a launch begin with: the file of hosts, and ssh. */
import { existsSync } from 'node:fs';
import { ConfigError } from '../../base/errors.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import type { Cluster } from '../../remote/host.ts';
import { parseHosts } from '../../remote/hosts-file.ts';
import { Ssh } from '../../remote/ssh.ts';
import type { CommandContext } from '../shell/command-context.ts';

/** Files of hosts that are taken when none is given, the first that is there. */
const USUAL_FILES = ['hosts.yaml', 'cluster_config.yaml'];

/** The flag of commands that look at a launch. */
export const HOSTS_OPTION = [
  '--hosts <file>',
  'the hosts; without it hosts.yaml or cluster_config.yaml of this folder',
] as const;

/** Reads the file of hosts. Throws: ConfigError when there is none, or what is wrong with it. */
export function readHosts(file: string | undefined): Cluster {
  return parseHosts(readConfigFile(file ?? usualHostsFile())).cluster;
}

/** The usual file of hosts. Throws: ConfigError when this folder has none. */
export function usualHostsFile(): string {
  const file = USUAL_FILES.find((name) => existsSync(name));
  if (file !== undefined) return file;
  throw new ConfigError(
    `expected a file of hosts, got none, and here is no ${USUAL_FILES.join(' or ')}. Write ` +
      '`hosts: [mini1, mini2]` into hosts.yaml; the first one coordinates',
  );
}

/** Has ssh do work, and ends its connections afterwards. */
export async function withSsh<T>(
  context: CommandContext,
  use: (ssh: Ssh) => Promise<T>,
  isSharing = true,
): Promise<T> {
  const ssh = new Ssh({ configFile: context.environment['LOCKSTEP_SSH_CONFIG'], isSharing });
  try {
    return await use(ssh);
  } finally {
    await ssh.close();
  }
}
