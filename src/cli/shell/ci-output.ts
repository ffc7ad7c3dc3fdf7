/** The flags by which a command of the suite speaks to a CI system. */
import { type Command, Option } from 'commander';
import { githubAnnotations } from '../../validate/compare/annotations.ts';
import type { Check } from '../../validate/compare/check.ts';
import { junitXml } from '../../validate/compare/junit.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';

/** What was asked for. */
export interface CiFlags {
  readonly junit?: string;
  readonly annotations?: 'github';
}

/** Adds `--junit` and `--annotations` to a command; its flags are then CiFlags, too. */
export function withCiOptions(command: Command): Command {
  return command
    .optionsGroup('For CI systems:')
    .option('--junit <file>', 'write the checks as JUnit XML, too')
    .addOption(
      new Option('--annotations <kind>', 'print failed checks as annotations').choices(['github']),
    );
}

/** Refuses, before work begins, a file that cannot be written. Throws ConfigError. */
export function checkCiFlags({ junit }: CiFlags): void {
  if (junit !== undefined) checkWritable('--junit', junit);
}

/**
 * Writes and prints what was asked for. `name` is the command's, say `lockstep validate`;
 * `annotated` are the checks for annotations, where all would be too many.
 */
export function emitChecks(
  name: string,
  checks: readonly Check[],
  { junit, annotations }: CiFlags,
  annotated: readonly Check[] = checks,
): void {
  if (junit !== undefined)
    writeOutput(junit, junitXml({ name, timestamp: new Date().toISOString() }, checks));
  // These are commands on purpose; what they quote is escaped in them.
  if (annotations !== undefined) process.stderr.write(githubAnnotations(name, annotated));
}
