/**
 * Compiles src/kernels/assembly (AssemblyScript) to WebAssembly SIMD and writes
 * src/kernels/kernel-bytes.ts, which is committed: users need no compiler. Run: node --import tsx
 * scripts/build-kernels.ts
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const ENTRY = 'src/kernels/assembly/index.ts';

/** Where the generated module lies. */
export const KERNEL_BYTES_FILE: string = join(root, 'src/kernels/kernel-bytes.ts');

// No runtime (nothing is allocated), no relaxed SIMD (its results may differ between processors).
// Warning 112: helpers take v128, which JavaScript could not pass; they are all inlined.
const OPTIONS =
  '-O3 --noAssert --runtime stub --disableWarning 112 --enable simd --importMemory ' +
  '--noExportMemory --initialMemory 0';

// A module that imports a shared memory must name a maximum: 65,536 pages (4 GiB) accepts every
// memory.
const SHARED_OPTIONS = `${OPTIONS} --enable threads --sharedMemory --maximumMemory 65536`;

// The compiler runs as a process of its own: importing it would bring its global types along.
function compile(options: string, outFile: string): Buffer {
  const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js');
  execFileSync(process.execPath, [compiler, ENTRY, '--outFile', outFile, ...options.split(' ')], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return readFileSync(outFile);
}

function base64Lines(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,100}/g) ?? [];
  return lines.map((line) => `  '${line}'`).join(' +\n');
}

/** The text of kernel-bytes.ts for the sources as they are now. */
export function generateKernelBytes(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  try {
    const plain = compile(OPTIONS, join(folder, 'plain.wasm'));
    const shared = compile(SHARED_OPTIONS, join(folder, 'shared.wasm'));
    return `// Generated from src/kernels/assembly by scripts/build-kernels.ts; do not edit.

/** The kernels importing an unshared memory: WebAssembly SIMD128, base64. */
export const KERNELS_BASE64: string =
${base64Lines(plain)};

/** The same code importing a shared memory (threads feature). */
export const SHARED_KERNELS_BASE64: string =
${base64Lines(shared)};
`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = generateKernelBytes();
  writeFileSync(KERNEL_BYTES_FILE, text);
  console.log(`wrote ${KERNEL_BYTES_FILE}, ${text.length} bytes`);
}
