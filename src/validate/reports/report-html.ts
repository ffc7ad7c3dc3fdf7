import type { RunFile } from '../results/read-result.ts';
import { consolidatedReport } from './html-consolidated.ts';
import { singleReport } from './html-single.ts';
import { viewsOf } from './run-view.ts';

/** The text of one HTML file about one run, or about several side by side. */
export function htmlReport(files: readonly RunFile[], title: string): string {
  const views = viewsOf(files);
  const [only] = views;
  return views.length === 1 && only !== undefined
    ? singleReport(only, title)
    : consolidatedReport(views, title);
}
