/** Node.js, Lockstep and what they are made of. */
import { failure, type Finding, good, warning } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';

/** What hosts should have. */
export interface Expected {
  /** The oldest version of Node.js that will do: 20.19. */
  readonly node: string;
  /** The version of Lockstep that asks. */
  readonly lockstep: string;
}

/** The oldest Node.js that Lockstep runs on, as package.json has it. */
export const LEAST_NODE = '20.19.0';

const GET_NODE =
  `Install Node.js ${LEAST_NODE} or newer, from https://nodejs.org, by the package manager, or: ` +
  'curl -fsSL https://raw.githubusercontent.com/nvm-sh/nvm/v0.40.3/install.sh | bash && ' +
  '. ~/.nvm/nvm.sh && nvm install 22';

/** Looks at the version of Node.js, and whether a command over ssh finds it. */
export function checkNode({ node }: MachineFacts, expected: Expected): Finding[] {
  if (node === undefined) return [];
  const needed = `Lockstep needs Node.js ${expected.node} or newer`;
  if (node === null)
    return [
      failure('node-missing', 'there is no Node.js', `${needed}, and none was found`, GET_NODE),
    ];
  const { version, program, isOnPath } = node;
  const at = program === undefined ? '' : ` (${program})`;
  if (isOlder(version, expected.node))
    return [failure('node-old', `Node.js ${version} is too old${at}`, needed, GET_NODE)];
  if (isOnPath || program === undefined) return [good('node', `Node.js ${version}${at}`)];
  return [
    failure(
      'node-hidden',
      `Node.js ${version} is at ${program}, and commands over ssh do not find it`,
      'the PATH of a shell that is not interactive does not have its folder',
      `sudo ln -s ${program} /usr/local/bin/node`,
    ),
  ];
}

/** Compares the version of Lockstep with that of who asks. */
export function checkLockstep({ lockstep }: MachineFacts, expected: Expected): Finding[] {
  if (lockstep === undefined) return [];
  const install = `npm install -g lockstep-train-${expected.lockstep}.tgz`;
  if (lockstep === null)
    return [
      warning(
        'lockstep-missing',
        'Lockstep is not installed',
        'no command `lockstep` was found, nor what `lockstep launch` leaves in its folder',
        `${install}   # \`lockstep launch\` copies it by itself`,
      ),
    ];
  if (lockstep === expected.lockstep) return [good('lockstep', `Lockstep ${lockstep}`)];
  return [
    failure(
      'lockstep-differs',
      `Lockstep is ${lockstep}, and ${expected.lockstep} here`,
      'both ends of a run must have the same version, or they refuse each other',
      isOlder(lockstep, expected.lockstep)
        ? install
        : `npm install -g lockstep-train@${lockstep} # here`,
    ),
  ];
}

/** Looks whether ONNX Runtime can be loaded, and on what it computes. */
export function checkRuntime(facts: MachineFacts): Finding[] {
  const { runtimeProblem, devices } = facts;
  const findings: Finding[] = noBinary(facts);
  if (findings.length > 0) return findings;
  if (typeof runtimeProblem === 'string')
    findings.push(
      failure(
        'runtime-unusable',
        'ONNX Runtime cannot be loaded, so this machine cannot compute',
        runtimeProblem,
        'npm rebuild onnxruntime-node   # or see docs/platforms.md',
      ),
    );
  if (devices === undefined) return findings;
  const works = devices.filter(({ isAvailable }) => isAvailable);
  const speeds = works.map(
    ({ device, gigaflops }) =>
      device + (gigaflops === undefined ? '' : ` ${Number(gigaflops.toPrecision(3))} GFLOP/s`),
  );
  if (works.length > 0) return [...findings, good('devices', `computes on ${speeds.join(', ')}`)];
  const reason = devices.map(({ device, reason: why }) => `${device}: ${why ?? 'unknown'}`);
  return [
    ...findings,
    failure('runtime-unusable', 'no device works', reason.join('; '), 'lockstep devices'),
  ];
}

/** Where there is nothing to load, whatever is installed. */
function noBinary({ platform, arch, isGlibc }: MachineFacts): Finding[] {
  const isIntelMac = platform === 'darwin' && (arch === 'x64' || arch === 'x86_64');
  if (!isIntelMac && isGlibc !== false) return [];
  return [
    failure(
      'runtime-unusable',
      isIntelMac ? 'it is an Intel Mac' : 'its C library is not glibc',
      'ONNX Runtime has no binary for it',
      'leave it out; docs/platforms.md lists what there is',
    ),
  ];
}

/** Looks for the programs that starting a cluster needs. */
export function checkPrograms(
  { programs }: MachineFacts,
  install: (name: string) => string,
): Finding[] {
  const findings: Finding[] = [];
  if (programs?.tmux === true) findings.push(good('tmux', 'tmux is there'));
  if (programs?.tmux === false)
    findings.push(
      warning(
        'tmux-missing',
        'there is no tmux',
        'workers then run as detached processes, to which nobody can attach',
        install('tmux'),
      ),
    );
  if (programs?.tar === false)
    findings.push(
      warning(
        'tar-missing',
        'there is no tar',
        '`lockstep launch` packs Lockstep with it, and unpacks it on hosts',
        install('tar'),
      ),
    );
  if (programs?.ssh === false)
    findings.push(
      warning(
        'ssh-missing',
        'there is no ssh',
        'other machines can neither be looked at nor started from here',
        install('openssh-client'),
      ),
    );
  return findings;
}

/** Whether version `a`, as 20.19.0, is less than `b`; what comes after a hyphen does not count. */
export function isOlder(a: string, b: string): boolean {
  const numbers = (text: string): number[] =>
    (text.replace(/^v/, '').split('-')[0] ?? '').split('.').map((part) => Number(part) || 0);
  const [left, right] = [numbers(a), numbers(b)];
  for (const index of [0, 1, 2]) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
