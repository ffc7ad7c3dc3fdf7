/** A GPU played in software: SwiftShader, the Vulkan driver that comes with Debian's Chromium. */
import { existsSync } from 'node:fs';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Why there is none here, in a plain line; false when there is. For the `skip` option of tests. */
export function softwareGpuMissing(): string | false {
  return existsSync(DRIVER) ? false : 'no software GPU: apt-get install libvulkan1 chromium-common';
}

/**
 * Makes it the only GPU of this process and of those it starts; to be called before the first
 * session.
 */
export function useSoftwareGpu(): void {
  // The first name is the loader's of today, the second that of Debian 12.
  process.env['VK_DRIVER_FILES'] = DRIVER;
  process.env['VK_ICD_FILENAMES'] = DRIVER;
}
