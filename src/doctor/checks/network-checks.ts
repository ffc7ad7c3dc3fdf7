/** Interfaces, the port to listen at, and files with links. */
import { quote } from '../../remote/quote.ts';
import { failure, type Finding, good, warning } from './finding.ts';
import type { Doorway, MachineFacts, Interface } from './machine-facts.ts';

/** Looks at the networks that the machine is in. */
export function checkInterfaces({ interfaces, platform }: MachineFacts): Finding[] {
  if (interfaces === undefined) return [];
  const usable = interfaces.filter(({ addresses }) => addresses.length > 0);
  if (usable.some(({ isVirtual }) => isVirtual !== true))
    return [good('interfaces', usable.map(interfaceText).join('; '))];
  const only = usable.length === 0 ? '' : ` but ${usable.map(({ name }) => name).join(', ')}`;
  return [
    failure(
      'network-missing',
      `it is in no network${only}`,
      'no interface of a cable or of Wi-Fi has an address that others could reach',
      platform === 'darwin' ? 'networksetup -listallnetworkservices' : 'ip -brief address',
    ),
  ];
}

/** An interface in words: eth0 10.0.0.2, 1000 Mbit/s. */
export function interfaceText(one: Interface): string {
  const { name, addresses, isWireless, isVirtual, megabitsPerSecond } = one;
  const facts = [
    ...(isWireless === true ? ['Wi-Fi'] : []),
    ...(isVirtual === true ? ['virtual'] : []),
    ...(megabitsPerSecond === undefined ? [] : [`${megabitsPerSecond} Mbit/s`]),
  ];
  return `${name} ${addresses.join(' ')}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`;
}

/** Looks whether a coordinator could listen where it is to. */
export function checkDoorway({ doorway, interfaces = [] }: MachineFacts): Finding[] {
  if (doorway === undefined) return [];
  const { host, port, problem, holder } = doorway;
  const at = `${host}:${port}`;
  switch (problem) {
    case undefined:
      return [good('port', `a coordinator can listen on ${at}`)];
    case 'EADDRINUSE':
      return [portInUse(doorway)];
    case 'EACCES':
      return [
        failure(
          'port-denied',
          `port ${port} needs more rights`,
          'ports below 1024 are for root',
          '--port 29500',
        ),
      ];
    default: {
      const own = interfaces.flatMap(({ addresses }) => addresses);
      const cause = `it is no address of this machine (${problem}${holder ?? ''})`;
      const remedy = `--host ${own[0] ?? '0.0.0.0'}   # this machine has: ${own.join(', ')}`;
      return [failure('address-elsewhere', `nothing can listen on ${at}`, cause, remedy)];
    }
  }
}

function portInUse({ port, holder }: Doorway): Finding {
  const who = holder === undefined ? 'another program' : holder;
  const remedy =
    holder === undefined
      ? `lsof -nP -iTCP:${port} -sTCP:LISTEN   # end it, or choose another with --port`
      : `kill ${/\d+/.exec(holder)?.[0] ?? ''}   # or choose another with --port`;
  return failure('port-in-use', `port ${port} is in use`, `${who} listens there`, remedy);
}

/** Looks whether the file with the link to join a run can be used, and by whom. */
export function checkLinkFile({ linkFile }: MachineFacts): Finding[] {
  if (linkFile === undefined) return [];
  const { path, problem, isOpen } = linkFile;
  if (problem !== undefined)
    return [
      failure(
        'link-file-unusable',
        `the link in ${path} cannot be used`,
        problem,
        'copy the file again from where the coordinator runs',
      ),
    ];
  if (isOpen !== true)
    return [good('link-file', `${path} holds a link, and is for its owner only`)];
  return [
    warning(
      'link-file-open',
      `other users of the machine can read ${path}`,
      'it holds the token that lets a worker in',
      `chmod 600 ${quote(path)}`,
    ),
  ];
}
