/** Commands that mend things, in the words of each system. */
import type { MachineFacts } from './machine-facts.ts';

/** Installs a program. */
export function installCommand({ installer, platform }: MachineFacts, name: string): string {
  switch (installer) {
    case 'apt-get':
      return `sudo apt-get install -y ${name}`;
    case 'dnf':
      return `sudo dnf install -y ${name}`;
    case 'pacman':
      return `sudo pacman -S --noconfirm ${name}`;
    case 'apk':
      return `sudo apk add ${name}`;
    case 'zypper':
      return `sudo zypper install -y ${name}`;
    case 'brew':
      return `brew install ${name}`;
    case undefined:
      return platform === 'darwin' ? `brew install ${name}` : `install ${name}`;
    default:
      return installer satisfies never;
  }
}

/** Lets connections in: to a port, from a machine, or both. */
export function allowCommand(
  facts: MachineFacts,
  { port, from }: { readonly port?: number; readonly from?: string },
): string {
  const { firewall, platform, inputChains = [] } = facts;
  if (firewall === 'ufw')
    return `sudo ufw allow ${from === undefined ? `${port}/tcp` : `proto tcp from ${from}`}`;
  if (firewall === 'firewalld') {
    const what =
      from === undefined ? `--add-port=${port}/tcp` : `--zone=trusted --add-source=${from}`;
    return `sudo firewall-cmd ${what}   # once more with --permanent`;
  }
  if (platform === 'darwin')
    return '/usr/libexec/ApplicationFirewall/socketfilterfw --unblockapp "$(which node)"';
  if (platform === 'win32')
    return (
      'netsh advfirewall firewall add rule name=lockstep dir=in action=allow protocol=TCP ' +
      (from === undefined ? `localport=${port}` : `remoteip=${from}`)
    );
  const match = [
    ...(from === undefined ? [] : [`${from.includes(':') ? 'ip6' : 'ip'} saddr ${from}`]),
    port === undefined ? 'meta l4proto tcp' : `tcp dport ${port}`,
  ].join(' ');
  const chains = inputChains.length > 0 ? inputChains : ['inet filter input'];
  return chains.map((chain) => `sudo nft insert rule ${chain} ${match} accept`).join(' && ');
}

/** Brings the clock in step with the world's. */
export function setClockCommand({ platform }: MachineFacts): string {
  if (platform === 'darwin') return 'sudo sntp -sS time.apple.com';
  if (platform === 'win32') return 'w32tm /resync';
  return 'sudo timedatectl set-ntp true';
}
