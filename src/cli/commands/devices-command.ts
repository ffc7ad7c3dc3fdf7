import { Command } from 'commander';
import { type DeviceReport, listDevices, speedText } from '../../runtime/devices.ts';
import { jsonText } from '../shell/json-output.ts';
import { writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Tries every device that ONNX Runtime knows with a real session, each in a process of its own, and
says what is missing where one does not work. GFLOP/s are measured, in products of matrices, on one
lane.

Use one with \`lockstep train --device NAME\` or \`lockstep worker --device NAME\`.`;

/** \`lockstep devices\`: what this machine can compute on, and how to get more. */
export function devicesCommand(): Command {
  return new Command('devices')
    .description('list what this machine can compute on')
    .option('--json', 'print one JSON document')
    .addHelpText('after', helpText(HELP))
    .action(async ({ json }: { json?: boolean }) => {
      const devices = await listDevices();
      writeResult(json === true ? jsonText({ devices }) : devicesText(devices));
    });
}

/** One line for each device, and one more for what to do. */
export function devicesText(reports: readonly DeviceReport[]): string {
  return reports.map((report) => `${report.device.padEnd(7)} ${stateOf(report)}\n`).join('');
}

function stateOf({ title, isAvailable, gigaflops, drivers, reason, advice }: DeviceReport): string {
  if (!isAvailable)
    return `no   ${title}: ${reason}${advice === undefined ? '' : `\n             ${advice}`}`;
  const driver = drivers === undefined ? '' : `, ${drivers.join(', ')}`;
  return `yes  ${title}: ${gigaflops === undefined ? 'works' : speedText(gigaflops)}${driver}`;
}
