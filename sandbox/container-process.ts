/**
 * Starting a container's process: the pod's mount, network and UTS namespaces, a PID namespace and /proc of its own, the
 * capabilities a container runtime gives by default. With those and without the sandbox's /run and state folder (pod.ts
 * covers them) a container cannot change the rules weir put around it nor reach its sockets.
 */
import type { Tools } from './processes.ts';

/** containerd's defaults (oci.defaultUnixCaps); CAP_NET_ADMIN and CAP_SYS_ADMIN are not among them. */
const DEFAULT_CAPABILITIES = [
  'chown',
  'dac_override',
  'fsetid',
  'fowner',
  'mknod',
  'net_raw',
  'setgid',
  'setuid',
  'setfcap',
  'setpcap',
  'net_bind_service',
  'sys_chroot',
  'kill',
  'audit_write',
];

/** Argument of `setpriv --bounding-set`: what a container may have at most. `ALL` is not granted here. */
export function boundingSet(added: readonly string[]): string {
  const extra = added.filter((name) => name !== 'ALL').map((name) => name.toLowerCase());
  return ['-all', ...new Set([...DEFAULT_CAPABILITIES, ...extra])]
    .map((name) => (name === '-all' ? name : `+${name}`))
    .join(',');
}

/**
 * The first shell stays outside the new PID namespace: it waits and reports how PID 1 ended, 128 + n after signal n, which
 * unshare --fork cannot do for SIGKILL. Its only child is PID 1 there: it mounts /proc, then becomes the container's
 * process. $0 sh, $1 working folder, $2 setpriv, $3 the capabilities, then the command.
 */
const START_SCRIPT = `
"$0" -c 'mount -t proc proc /proc && cd "$1" && setpriv=$2 set=$3 && shift 3 && exec "$setpriv" --pdeathsig KILL --bounding-set "$set" -- "$@"' "$0" "$@"
exit $?
`;

/** The words that start a container beside the pod's pause process. */
export function containerArgv(
  tools: Tools,
  pausePid: number,
  workingDir: string,
  capabilities: readonly string[],
  argv: readonly string[],
): string[] {
  return [
    tools.nsenter,
    '--target',
    String(pausePid),
    '--mount',
    '--uts',
    '--net',
    '--',
    tools.unshare,
    '--mount',
    '--pid',
    '--',
    tools.sh,
    '-c',
    START_SCRIPT,
    tools.sh,
    workingDir,
    tools.setpriv,
    boundingSet(capabilities),
    ...argv,
  ];
}

/** How a further process enters a running container (`weir sandbox exec`, exec probes). */
export interface EnterOptions {
  /** PID 1 of the container as the caller sees it. */
  readonly pid: number;
  readonly workingDir: string;
  readonly capabilities: readonly string[];
  /** True from outside the sandbox: its user namespace has to be entered too. */
  readonly userNamespace: boolean;
}

/** The words that run `argv` inside a running container; it is killed when its caller is. */
export function enterArgv(tools: Tools, options: EnterOptions, argv: readonly string[]): string[] {
  const user = options.userNamespace ? ['--user', '--preserve-credentials'] : [];
  return [
    tools.nsenter,
    '--target',
    String(options.pid),
    ...user,
    '--mount',
    '--uts',
    '--net',
    '--pid',
    '--',
    tools.setpriv,
    '--pdeathsig',
    'KILL',
    '--bounding-set',
    boundingSet(options.capabilities),
    '--',
    tools.sh,
    '-c',
    'cd "$0" && exec "$@"',
    options.workingDir,
    ...argv,
  ];
}
