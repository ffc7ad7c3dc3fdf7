/** All checks of one host, in the order in which they are shown. */
import type { Finding } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import {
  checkClock,
  checkCores,
  checkMemory,
  checkOpenFiles,
  checkPlaces,
  checkSleep,
} from './machine-checks.ts';
import { checkDoorway, checkInterfaces, checkLinkFile } from './network-checks.ts';
import { installCommand } from './remedies.ts';
import {
  checkLockstep,
  checkNode,
  checkPrograms,
  checkRuntime,
  type Expected,
} from './software-checks.ts';

type Check = (facts: MachineFacts, expected: Expected) => readonly Finding[];

const CHECKS: readonly Check[] = [
  checkNode,
  checkLockstep,
  checkRuntime,
  checkCores,
  checkMemory,
  checkPlaces,
  checkOpenFiles,
  checkSleep,
  checkClock,
  (facts) => checkPrograms(facts, (name) => installCommand(facts, name)),
  checkInterfaces,
  checkDoorway,
  checkLinkFile,
];

/** What is to be said of a host, from what is known of it; nothing of what is not known. */
export function checkHost(facts: MachineFacts, expected: Expected): Finding[] {
  return CHECKS.flatMap((check) => check(facts, expected));
}
