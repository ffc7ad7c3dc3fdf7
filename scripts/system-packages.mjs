/**
 * What tests need besides npm packages, and how to get it: as root on Debian it is installed, else
 * the user is told what will be skipped. `npm test` and `npm run test:all` call this first.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const APT_TIMEOUT_MS = 10 * 60_000;

const SOFTWARE_GPU = 'training on a GPU, which Vulkan plays in software';
const ONNX_CHECKS = "checks of graphs by ONNX's own checker";

/** What quick tests need, each with a program that ends with 0 when the package is there. */
const NEEDED = [
  { name: 'python3-onnx', probe: pythonHas('onnx'), purpose: ONNX_CHECKS },
  { name: 'python3-numpy', probe: pythonHas('numpy'), purpose: ONNX_CHECKS },
  {
    name: 'python3-thrift',
    probe: pythonHas('thrift'),
    purpose: 'the letters system with programs that speak Thrift',
  },
  {
    name: 'dataset-fashion-mnist',
    probe: hasFile('/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz'),
    purpose: 'training on Fashion-MNIST',
  },
  {
    name: 'bsdutils',
    probe: ['script', ['--version']],
    purpose: 'the end of a run whose terminal is closed',
  },
];

/** What the long and the real ones need too. */
const NEEDED_LATER = [
  { name: 'zsh', probe: ['zsh', ['--version']], purpose: 'completion of words in zsh' },
  { name: 'fish', probe: ['fish', ['--version']], purpose: 'completion of words in fish' },
  {
    name: 'python3-torch',
    probe: pythonHas('torch'),
    purpose: 'the example that trains with PyTorch, and is validated',
  },
  {
    name: 'util-linux',
    probe: ['unshare', ['--version']],
    purpose: 'commands of the documents, each in a process space of its own',
  },
  { name: 'openssh-server', probe: ['sshd', ['-V']], purpose: 'launching on hosts over ssh' },
  { name: 'openssh-client', probe: ['ssh', ['-V']], purpose: 'launching on hosts over ssh' },
  { name: 'tmux', probe: ['tmux', ['-V']], purpose: 'launching on hosts over ssh' },
  { name: 'iproute2', probe: ['tc', ['-V']], purpose: 'runs on slow links' },
  { name: 'slurmctld', probe: ['slurmctld', ['-V']], purpose: 'runs under Slurm' },
  { name: 'slurmd', probe: ['slurmd', ['-V']], purpose: 'runs under Slurm' },
  { name: 'slurm-client', probe: hasFile('/usr/bin/sbatch'), purpose: 'runs under Slurm' },
  { name: 'munge', probe: ['munged', ['-V']], purpose: 'runs under Slurm' },
  { name: 'openmpi-bin', probe: ['mpirun.openmpi', ['--version']], purpose: 'runs by Open MPI' },
  { name: 'mpich', probe: ['mpirun.mpich', ['--version']], purpose: 'runs by MPICH' },
  { name: 'faketime', probe: ['faketime', ['-v']], purpose: 'runs with wrong clocks' },
  {
    name: 'nftables',
    probe: ['nft', ['--version']],
    purpose: 'doctor, and ports that are blocked',
  },
  {
    name: 'libvulkan1',
    probe: hasFile('/usr/lib/*-linux-*/libvulkan.so.1'),
    purpose: SOFTWARE_GPU,
  },
  {
    name: 'chromium',
    probe: ['/bin/sh', ['-c', 'command -v chromium || command -v google-chrome']],
    purpose: 'printing reports as PDF',
  },
  {
    name: 'chromium-common',
    probe: hasFile('/usr/lib/chromium/vk_swiftshader_icd.json'),
    purpose: SOFTWARE_GPU,
  },
];

function pythonHas(module) {
  const program = `import sys, importlib.util as u; sys.exit(u.find_spec("${module}") is None)`;
  return ['/usr/bin/python3', ['-c', program]];
}

function hasFile(pattern) {
  return ['/bin/sh', ['-c', `ls ${pattern}`]];
}

/**
 * Installs what is missing if it can; prints one plain line for everything that is still missing.
 * `tier` is 'quick' or 'all'.
 */
export function provideSystemPackages(tier) {
  const needed = tier === 'all' ? [...NEEDED, ...NEEDED_LATER] : NEEDED;
  const wanted = missing(needed);
  if (wanted.length === 0) return;
  const isDebian = existsSync('/usr/bin/apt-get');
  if (isDebian && process.getuid?.() === 0) install(wanted.map(({ name }) => name));
  for (const { name, purpose } of missing(needed)) {
    const advice = isDebian ? `: sudo apt-get install ${name}` : '';
    console.log(`skipped without ${name}: ${purpose}${advice}`);
  }
}

function missing(needed) {
  return needed.filter(
    ({ probe: [program, args] }) => spawnSync(program, args, { timeout: 60_000 }).status !== 0,
  );
}

/** Quiet unless it fails. */
function install(names) {
  console.log(`installing ${names.join(', ')} (apt-get)...`);
  const wasUpdated = aptGet('update');
  if (!aptGet('install', '--yes', '--no-install-recommends', ...names) && !wasUpdated)
    console.log('apt-get update failed too: is there a network?');
}

function aptGet(...args) {
  const result = spawnSync('apt-get', ['--quiet', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: APT_TIMEOUT_MS,
  });
  if (result.status === 0) return true;
  const reason = result.error?.message ?? `ended with ${result.status}`;
  console.log(`${result.stdout}${result.stderr}apt-get ${args.join(' ')}: ${reason}`);
  return false;
}
