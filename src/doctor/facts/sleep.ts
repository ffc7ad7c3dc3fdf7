/** What puts this machine to sleep, asked of the system. */
import type { MachineFacts } from '../checks/machine-facts.ts';
import { outputOf } from './run-program.ts';

type Sleep = MachineFacts['sleep'];

/** Undefined where nobody knows: servers without a desktop do not say. */
export async function gatherSleep(): Promise<Sleep> {
  if (process.platform === 'darwin') return macSleep((await outputOf('pmset', ['-g'])) ?? '');
  if (process.platform !== 'linux') return undefined;
  const schema = 'org.gnome.settings-daemon.plugins.power';
  const [type, seconds] = await Promise.all([
    outputOf('gsettings', ['get', schema, 'sleep-inactive-ac-type']),
    outputOf('gsettings', ['get', schema, 'sleep-inactive-ac-timeout']),
  ]);
  return gnomeSleep(type ?? '', seconds ?? '');
}

/** What `pmset -g` says: ` sleep 10 (sleep prevented by ...)`, in minutes, 0 for never. */
export function macSleep(text: string): Sleep {
  const minutes = /^\s*sleep\s+(\d+)/m.exec(text)?.[1];
  if (minutes === undefined) return undefined;
  if (minutes === '0') return null;
  return {
    why: `the energy settings let it sleep after ${minutes} min without a user`,
    remedy: 'sudo pmset -a sleep 0   # or for one run: caffeinate -is lockstep ...',
  };
}

/** What GNOME's settings say of a machine with power from the wall. */
export function gnomeSleep(type: string, seconds: string): Sleep {
  if (type.trim() === '') return undefined;
  const limit = Number(/\d+\s*$/.exec(seconds)?.[0] ?? 0);
  if (!type.includes('suspend') || limit === 0) return null;
  return {
    why: `the desktop suspends it after ${Math.round(limit / 60)} min without a user`,
    remedy:
      'gsettings set org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type nothing' +
      '   # or for one run: systemd-inhibit lockstep ...',
  };
}
