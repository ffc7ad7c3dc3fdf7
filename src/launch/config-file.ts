import { readFileSync, statSync } from 'node:fs';
import { ConfigError, messageOf } from '../base/errors.ts';
import { type ConfigSource, MAX_CONFIG_BYTES } from '../config/yaml-source.ts';

/** Reads a configuration file. Throws: ConfigError when it is missing, unreadable or too large. */
export function readConfigFile(file: string): ConfigSource {
  try {
    const stats = statSync(file);
    if (!stats.isFile())
      throw new ConfigError(`reading ${file}: expected a file of settings, and this is none`);
    if (stats.size > MAX_CONFIG_BYTES) {
      throw new ConfigError(
        `${file}: expected a configuration of at most ${MAX_CONFIG_BYTES} bytes. Is it the ` +
          'right file?',
      );
    }
    return { file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? 'there is no such file' : messageOf(error);
    throw new ConfigError(`reading ${file}: ${reason}`, [], { cause: error });
  }
}
