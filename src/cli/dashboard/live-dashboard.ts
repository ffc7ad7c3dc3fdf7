/** The dashboard of a run that this process leads: open as long as the run goes on. */
import { messageOf } from '../../base/errors.ts';
import { RunFeed } from '../../dashboard/run-feed.ts';
import { RunLibrary } from '../../dashboard/run-library.ts';
import { openDashboard } from '../../dashboard/server.ts';
import type { EventSink } from '../../metrics/event-sink.ts';
import type { RunSummary } from '../../runs/run-summary.ts';
import type { Colours, Terminal } from '../shell/terminal.ts';
import type { DashboardPort } from './dashboard-port.ts';
import { describeEvent } from './describe-event.ts';
import { userKey } from './user-key.ts';

/** The run that is shown, and where the link is printed. */
export interface LiveDashboardOptions {
  /** Undefined: nobody wants one, and the run is led without. */
  readonly asked: DashboardPort | undefined;
  readonly name: string;
  /** The folder of all runs. */
  readonly outDir: string;
  readonly accessFolder: string;
  readonly terminal: Terminal;
  readonly colours: Colours;
}

/**
 * Opens a dashboard, leads a run whose events it shows, and closes it after telling browsers how
 * the run has ended. Throws what `lead` throws, and PeerLostError when the port cannot be had,
 * before anything else is begun.
 */
export async function withDashboard(
  { asked, name, outDir, accessFolder, terminal, colours }: LiveDashboardOptions,
  lead: (sinks: readonly EventSink[]) => Promise<RunSummary>,
): Promise<RunSummary> {
  if (asked === undefined) return lead([]);
  const feed = new RunFeed(name, describeEvent);
  const library = new RunLibrary(outDir, describeEvent, { name, feed });
  const dashboard = await openDashboard({
    library,
    first: name,
    ...asked,
    userKey: userKey(accessFolder, (problem) => terminal.line(problem)),
    onLink: (link) => terminal.line(linkText(link, colours)),
  });
  try {
    const summary = await lead([feed]);
    feed.end(summary.status, summary.reason);
    return summary;
  } catch (error) {
    feed.end('failed', messageOf(error));
    throw error;
  } finally {
    await dashboard.close();
  }
}

/** The line with the link of a dashboard. */
export function linkText(link: string, { bold, dim }: Colours): string {
  return `dashboard  ${bold(link)}  ${dim('lets one browser in')}`;
}
