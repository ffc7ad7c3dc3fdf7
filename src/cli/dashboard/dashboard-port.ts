/** The port of a dashboard, as commands take it. */
import { parseWhole } from '../shell/arguments.ts';

/** The port that was asked for, and by which flag; undefined is 3000, or the next that is free. */
export interface DashboardPort {
  readonly port: number | undefined;
  readonly flag: string;
}

/** Reads the value of a flag that may stand without one. Throws: ConfigError. */
export function parseDashboardPort(flag: string, value: unknown): DashboardPort {
  const port = typeof value === 'string' ? parseWhole(flag, value, 0, 65_535) : undefined;
  return { port, flag };
}
