import { ConfigError } from '../../base/errors.ts';
import type { FigureFile, RunFile } from '../results/read-result.ts';
import { consolidatedReport } from './html-consolidated.ts';
import { figuresReport, singleReport } from './html-single.ts';
import { viewsOf } from './run-view.ts';

/**
 * The text of one HTML file about one run, or about several side by side. Throws: ConfigError for
 * several of which one tells of no steps.
 */
export function htmlReport(files: readonly (RunFile | FigureFile)[], title: string): string {
  const [first] = files;
  if (files.length === 1 && first !== undefined && !('payload' in first))
    return figuresReport(first, title);
  const runs = files.map((file) => {
    if ('payload' in file) return file;
    throw new ConfigError(
      `reading ${file.path}: expected steps in tool_payload, to be put beside other runs, found ` +
        'none. It can have a report of its own',
    );
  });
  const views = viewsOf(runs);
  const [only] = views;
  return views.length === 1 && only !== undefined
    ? singleReport(only, title)
    : consolidatedReport(views, title);
}
