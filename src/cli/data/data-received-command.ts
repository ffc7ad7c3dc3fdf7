import { Command } from 'commander';
import { KeptSplits } from '../../data/parcels/kept-splits.ts';
import { dataPlaces } from '../../job/data-source.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { writeResult } from '../shell/output.ts';
import { bytes as bytesText } from '../shell/terminal.ts';

const HELP = `
A worker that lacks the data of a run gets them from its coordinator and keeps them in the cache
folder, by their hash, for the next run. Up to 4 GiB are kept; what was not used for longest goes.

Examples:
  lockstep data received
  lockstep data received --clear`;

/** \`lockstep data received\`: lists, or removes, data that came from coordinators. */
export function dataReceivedCommand({ environment }: CommandContext): Command {
  return new Command('received')
    .description('list or remove data that this machine got from coordinators')
    .option('--clear', 'remove them all')
    .addHelpText('after', helpText(HELP))
    .action(async ({ clear }: { readonly clear?: boolean }) => {
      const kept = new KeptSplits(dataPlaces(undefined, environment).cacheDir);
      if (clear === true) writeResult(`${bytesText(await kept.clear())} removed\n`);
      else writeResult(await listText(kept));
    });
}

async function listText(kept: KeptSplits): Promise<string> {
  const found = await kept.list();
  const lines = found.map(
    ({ digest, bytes, usedMs }) =>
      `${digest}  ${bytesText(bytes).padStart(6)}  used ${new Date(usedMs).toISOString()}\n`,
  );
  const sum = found.reduce((total, { bytes }) => total + bytes, 0);
  return `${lines.join('')}${bytesText(sum)} in ${kept.folder}\n`;
}
