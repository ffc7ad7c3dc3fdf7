/** ONNX's own model checker, as Debian packages it (python3-onnx). */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PYTHON = '/usr/bin/python3';
const CHECK = `
import sys, onnx
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
`;

/**
 * Why the checker cannot run here, in a plain line; false when it can. For the `skip` option of
 * tests.
 */
export function onnxCheckerMissing(): string | false {
  const { status } = spawnSync(PYTHON, ['-c', 'import onnx'], { timeout: 60_000 });
  return status === 0 ? false : 'python3-onnx is not installed: apt-get install python3-onnx';
}

/** What the checker says about the models; an empty string when all of them are valid. */
export function checkWithOnnx(models: readonly Uint8Array[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-checker-'));
  try {
    const paths = models.map((bytes, index) => {
      const path = join(folder, `${index}.onnx`);
      writeFileSync(path, bytes);
      return path;
    });
    const { status, stderr } = spawnSync(PYTHON, ['-c', CHECK, ...paths], {
      encoding: 'utf8',
      timeout: 120_000,
    });
    return status === 0 ? '' : stderr || `python ended with ${status}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
