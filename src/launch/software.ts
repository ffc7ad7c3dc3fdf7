import { readFileSync } from 'node:fs';

const manifest = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string; dependencies: Readonly<Record<string, string>> };

/** Version of this installation, as in package.json. */
export const VERSION = manifest.version;

/** Version of ONNX Runtime, as in package.json. */
export const ONNX_RUNTIME_VERSION = manifest.dependencies['onnxruntime-node'] ?? 'unknown';

/** What this process tells its peers that it is. */
export const SOFTWARE = [
  `lockstep ${VERSION}`,
  `Node.js ${process.version}`,
  `${process.platform}-${process.arch}`,
].join(', ');
