import { Command, Option } from 'commander';
import { AccessStore, type ListedToken, MAX_USES } from '../../access/access-store.ts';
import { accessFolder } from '../../access/home.ts';
import { joinLinkText } from '../../access/join-link.ts';
import { ROLES, tokenText } from '../../access/token.ts';
import { ConfigError } from '../../base/errors.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import { parseChoice, parseNumber, parseWhole } from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText, withChoices } from '../shell/help.ts';
import { printJson } from '../shell/json-output.ts';
import { writeResult } from '../shell/output.ts';

const HOUR_MS = 3_600_000;

const HELP = `
Tokens let workers of other machines in; they are kept where the coordinator runs, in
~/.config/lockstep (or LOCKSTEP_HOME), without their secret. A worker trades a token once for a
credential of its own, which lasts 30 days. Revoking a token ends what came of it, too: nobody comes
in with it any more, and who is in a run is put out within a few seconds. Of one worker that is
revoked the machine can trade its link again; revoke the token as well to keep it out.

Examples:
  lockstep token create --join desk:29500     a link, for a coordinator there
  lockstep token create --uses 30 --hours 2   for a class
  lockstep token revoke abcdefghij            a token; abcdefghij.3: one worker

Exit codes: 0 done, 2 wrong flags or an unknown token.`;

type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** \`lockstep token\`: makes, lists and revokes tokens. */
export function tokenCommand(context: CommandContext): Command {
  const store = (): AccessStore => new AccessStore(accessFolder(context.environment));
  const command = new Command('token')
    .description('make, list and revoke tokens, by which workers of other machines join')
    .addHelpText('after', helpText(HELP));
  command
    .command('create')
    .description('make a token, and print it: it is not shown again')
    .addOption(withChoices(new Option('--role <role>', 'what it is for'), ROLES).default('worker'))
    .option('--hours <hours>', 'how long it can be traded', '24')
    .option('--uses <count>', 'how many workers can trade it', '64')
    .option('--note <text>', 'what it is listed with', '')
    .option('--join <host:port>', 'print a link to this coordinator instead of the token alone')
    .action((flags: Flags) => create(store(), flags));
  command
    .command('list')
    .description('list tokens, and the workers that have traded them')
    .option('--json', 'print one JSON document')
    .action((flags: Flags) => list(store(), flags['json'] === true));
  command
    .command('revoke')
    .description('end a token and all that came of it, or one worker')
    .argument('<id>', 'as `lockstep token list` shows it')
    .action((id: string) => {
      store().revoke(id);
      writeLine(`revoked ${id}; who is in a run by it is put out within a few seconds`);
      const [token, credential] = id.split('.');
      if (credential !== undefined)
        writeLine(`who has its link can join again, unless ${token} is revoked, too`);
    });
  return command;
}

function create(store: AccessStore, flags: Flags): void {
  const text = (name: string): string => String(flags[name] ?? '');
  const place = flags['join'] === undefined ? undefined : parseAddress(text('join'));
  if (flags['join'] !== undefined && place === undefined)
    throw new ConfigError(`--join: expected host:port, got "${text('join')}"`);
  const token = store.create({
    role: parseChoice('--role', text('role'), ROLES),
    lifetimeMs: HOUR_MS * parseNumber('--hours', text('hours'), 0.01, 24 * 365),
    maxUses: parseWhole('--uses', text('uses'), 1, MAX_USES),
    note: text('note').slice(0, 100),
  });
  writeLine(place === undefined ? tokenText(token) : joinLinkText({ addresses: [place], token }));
}

function list(store: AccessStore, isJson: boolean): void {
  const all = store.list();
  if (isJson) return printJson(all.map(withoutKeys));
  if (all.length === 0) writeLine('no tokens');
  for (const { token, credentials } of all) {
    const { id, role, expiresMs, revokedMs, maxUses, note } = token;
    const uses = `${credentials.length} of ${maxUses} uses`;
    writeLine([id, role, standingOf(expiresMs, revokedMs), uses, note].join('  ').trimEnd());
    for (const one of credentials)
      writeLine(`  ${one.id}  ${one.holder}  ${standingOf(one.expiresMs, one.revokedMs)}`);
  }
}

function writeLine(line: string): void {
  writeResult(`${line}\n`);
}

function withoutKeys({ token, credentials }: ListedToken): object {
  const { key: _, ...shown } = token;
  return { ...shown, credentials: credentials.map(({ key: __, ...credential }) => credential) };
}

function standingOf(expiresMs: number, revokedMs: number | undefined): string {
  if (revokedMs !== undefined) return `revoked ${new Date(revokedMs).toISOString()}`;
  const word = expiresMs > Date.now() ? 'until' : 'expired';
  return `${word} ${new Date(expiresMs).toISOString()}`;
}
