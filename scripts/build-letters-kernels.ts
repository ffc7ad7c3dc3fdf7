/**
 * Compiles src/kernels/assembly/letters.ts (AssemblyScript) and writes
 * src/letters/numeric/kernel-bytes.ts, which is committed. Run: node --import tsx
 * scripts/build-letters-kernels.ts
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const ENTRY = 'src/kernels/assembly/letters.ts';

/** Where the generated module lies. */
export const LETTERS_KERNEL_BYTES_FILE: string = join(root, 'src/letters/numeric/kernel-bytes.ts');

// As in build-kernels.ts: nothing is allocated, and no relaxed SIMD, whose results may differ
// between processors.
const OPTIONS =
  '-O3 --noAssert --runtime stub --disableWarning 112 --enable simd --importMemory ' +
  '--noExportMemory --initialMemory 0';

/** The text of kernel-bytes.ts for the source as it is now. */
export function generateLettersKernelBytes(): string {
  const folder = mkdtempSync(join(tmpdir(), 'letters-kernels-'));
  try {
    const outFile = join(folder, 'letters.wasm');
    const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js');
    execFileSync(process.execPath, [compiler, ENTRY, '--outFile', outFile, ...OPTIONS.split(' ')], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const lines =
      readFileSync(outFile)
        .toString('base64')
        .match(/.{1,100}/g) ?? [];
    return `// Generated from ${ENTRY} by scripts/build-letters-kernels.ts; do not edit.

/** The kernels of the letters system: WebAssembly SIMD128, base64. */
export const LETTERS_KERNELS_BASE64: string =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = generateLettersKernelBytes();
  writeFileSync(LETTERS_KERNEL_BYTES_FILE, text);
  console.log(`wrote ${LETTERS_KERNEL_BYTES_FILE}, ${text.length} bytes`);
}
