/** Devices: what each needs, and how ONNX Runtime is told to use it. */
/** Every device, in the order in which they are listed. */
export const DEVICES = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
/** Where a worker computes; `auto` has been decided. */
export type Device = (typeof DEVICES)[number];

/** The names that `--device` takes. */
export const DEVICE_NAMES = ['auto', ...DEVICES] as const;
/** One of `DEVICE_NAMES`. */
export type DeviceName = (typeof DEVICE_NAMES)[number];

/**
 * What `auto` chooses from. CoreML is not in it: most of its operators want constant weights, and a
 * step's are inputs.
 */
export const AUTO_DEVICES: readonly Device[] = ['cpu', 'webgpu', 'cuda', 'dml'];

/**
 * Lanes of a worker on a GPU: one keeps it busy, and ONNX Runtime's WebGPU crashes when two threads
 * of a process use it.
 */
export const GPU_LANES = 1;

interface DeviceNeeds {
  /** The device in words. */
  readonly title: string;
  /** Why ONNX Runtime does not offer it on machines that are not listed by it. */
  readonly elsewhere: string;
  /**
   * What to do on a machine where ONNX Runtime offers
   * it and it does not work, by `process.platform`.
   */
  readonly advice: Readonly<Partial<Record<NodeJS.Platform, string>>>;
}

const GRAPHICS_DRIVER = "install or update the driver of the machine's graphics card";

/** What is to be said of each device, by its name. */
export const DEVICE_NEEDS: Readonly<Record<Device, DeviceNeeds>> = {
  cpu: { title: 'CPU', elsewhere: 'this ONNX Runtime has no build for it', advice: {} },
  webgpu: {
    title: 'GPU through Vulkan, Metal or Direct3D 12',
    elsewhere: 'ONNX Runtime for Node.js has WebGPU on Windows, macOS and Linux x64',
    advice: {
      linux:
        `${GRAPHICS_DRIVER} with Vulkan: on Debian and Ubuntu, apt-get install libvulkan1 ` +
        "mesa-vulkan-drivers (AMD, Intel), or NVIDIA's own driver",
      win32: GRAPHICS_DRIVER,
    },
  },
  cuda: {
    title: 'NVIDIA GPU through CUDA',
    elsewhere: 'ONNX Runtime for Node.js has CUDA on Linux x64; webgpu uses NVIDIA cards elsewhere',
    advice: { linux: "install NVIDIA's driver, CUDA 12 and cuDNN 9 so that the loader finds them" },
  },
  coreml: {
    title: 'Apple GPU and Neural Engine',
    elsewhere: 'CoreML is a part of macOS',
    advice: {},
  },
  dml: {
    title: 'GPU through DirectML',
    elsewhere: 'DirectML is a part of Windows',
    advice: { win32: GRAPHICS_DRIVER },
  },
};
