import { Command } from 'commander';
import { LockstepError } from '../../base/errors.ts';
import { checkFile } from '../../validate/reports/check-file.ts';
import type { Check } from '../../validate/compare/check.ts';
import {
  FILE_KINDS,
  type FileKind,
  readKnownFile,
  StructureError,
} from '../../validate/results/read-result.ts';
import { resultJsonSchema } from '../../validate/results/result-json-schema.ts';
import { type Problem, problemText } from '../../validate/results/schema-problems.ts';
import { type CiFlags, checkCiFlags, emitChecks, withCiOptions } from '../shell/ci-output.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { Product } from '../shell/product.ts';

import { printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Takes canonical results (schema 1.0.0 and 1.1.0), training runs in the plain form, health files and
fault reports, tells which it is, and lists everything that is wrong: fields that are missing or of
another type, and numbers that contradict each other. \`lockstep report schema\` prints the schemas.

Exit codes: 0 nothing is wrong, 1 something is, 2 a file is missing, cannot be read, or is no
JSON.`;

/** What came of one file. */
interface FileVerdict {
  readonly path: string;
  /** Null when it could not be told. */
  readonly kind: FileKind | null;
  /** False when there is no such file, or no JSON in it. */
  readonly isReadable: boolean;
  readonly passed: boolean;
  readonly problems: readonly Problem[];
}

/** `lockstep report check`: compares files with the schemas. */
export function reportCheckCommand(context: CommandContext): Command {
  const command = new Command('check')
    .description('check files against the schemas of the suite')
    .argument('<file...>', 'files to check')
    .option('--json', 'print what was found as one JSON document on stdout');
  return withCiOptions(command)
    .addHelpText('after', helpText(HELP))
    .action((files: string[], flags: CiFlags & { readonly json?: boolean }) => {
      checkCiFlags(flags);
      const verdicts = files.map(verdictOf);
      const product = new Product(context.environment, flags);
      const { green, red } = product.colours;
      for (const verdict of verdicts)
        product.line(`${verdict.passed ? green('✓') : red('✗')} ${verdictText(verdict)}`);
      emitChecks('lockstep report check', verdicts.map(checkOf), flags);
      if (flags.json === true) printJson({ files: verdicts });
      const isUnread = verdicts.some(({ isReadable }) => !isReadable);
      const isWrong = verdicts.some(({ passed }) => !passed);
      context.setExitCode(isUnread ? EXIT.usage : isWrong ? EXIT.failed : EXIT.ok);
    });
}

/** `lockstep report schema`: prints the schemas as JSON Schema. */
export function reportSchemaCommand(): Command {
  return new Command('schema')
    .description('print the schemas of the suite as JSON Schema')
    .action(() => printJson(resultJsonSchema()));
}

function verdictOf(path: string): FileVerdict {
  try {
    const file = readKnownFile(path);
    const problems = checkFile(file);
    return { path, kind: file.kind, isReadable: true, passed: problems.length === 0, problems };
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code === 'INTERNAL') throw error;
    const problems = [
      { path: '', message: error.message.replace(`reading ${path}: `, ''), count: 1 },
    ];
    return {
      path,
      kind: null,
      isReadable: error instanceof StructureError,
      passed: false,
      problems,
    };
  }
}

function verdictText({ path, kind, passed, problems }: FileVerdict): string {
  if (passed && kind !== null) return `${path}: ${FILE_KINDS[kind]}`;
  return [`${path}:`, ...problems.map((problem) => `    ${problemText(problem)}`)].join('\n');
}

function checkOf({ path, passed, problems }: FileVerdict): Check {
  return { name: path, passed, message: problems.map(problemText).join('\n') };
}
