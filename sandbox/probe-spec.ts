/** Probes of core/v1: what is asked, how often, and how many answers count. Defaults are Kubernetes' own. */
import type { Reader } from './reader.ts';

export type ProbeAction =
  | {
      readonly type: 'http';
      readonly port: number;
      readonly path: string;
      readonly scheme: 'http' | 'https';
      /** null: the pod's address. */
      readonly host: string | null;
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly type: 'tcp'; readonly port: number; readonly host: string | null }
  | { readonly type: 'exec'; readonly command: readonly string[] };

export interface ProbeSpec {
  readonly action: ProbeAction;
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
  readonly successThreshold: number;
}

/** Reads one probe; null when there is none. `ports` resolves names; gRPC probes are refused. */
export function readProbe(probe: Reader | null, ports: ReadonlyMap<string, number>): ProbeSpec | null {
  if (probe === null) return null;
  const action = readAction(probe, ports);
  const numbers = {
    initialDelaySeconds: probe.integer('initialDelaySeconds', 0, 0, 86_400),
    periodSeconds: probe.integer('periodSeconds', 10, 1, 86_400),
    timeoutSeconds: probe.integer('timeoutSeconds', 1, 1, 3_600),
    failureThreshold: probe.integer('failureThreshold', 3, 1, 100_000),
    successThreshold: probe.integer('successThreshold', 1, 1, 1_000),
  };
  return action === null ? null : { action, ...numbers };
}

function readAction(probe: Reader, ports: ReadonlyMap<string, number>): ProbeAction | null {
  const http = probe.child('httpGet');
  if (http !== null) {
    const path = http.string('path') ?? '/';
    const scheme = (http.string('scheme') ?? 'HTTP').toUpperCase();
    if (scheme !== 'HTTP' && scheme !== 'HTTPS')
      http.refuse('scheme', `${scheme} is not a scheme`, 'write HTTP or HTTPS');
    const headers = http
      .children('httpHeaders')
      .map((header) => [header.requiredString('name', ''), header.string('value') ?? ''] as const);
    return {
      type: 'http',
      port: readPort(http, ports),
      path: path.startsWith('/') ? path : `/${path}`,
      scheme: scheme === 'HTTPS' ? 'https' : 'http',
      host: http.string('host'),
      headers,
    };
  }
  const tcp = probe.child('tcpSocket');
  if (tcp !== null) return { type: 'tcp', port: readPort(tcp, ports), host: tcp.string('host') };
  const exec = probe.child('exec');
  if (exec !== null) {
    const command = exec.strings('command') ?? [];
    if (command.length === 0) exec.refuse('command', 'missing', 'write the command as a list of words');
    return { type: 'exec', command };
  }
  if (probe.has('grpc'))
    probe.refuse('grpc', 'gRPC probes are not supported by the sandbox', 'use tcpSocket with the same port');
  else probe.refuse('', 'a probe needs httpGet, tcpSocket or exec', 'add one of them');
  return null;
}

function readPort(action: Reader, ports: ReadonlyMap<string, number>): number {
  const value = action.fields['port'];
  if (typeof value === 'string') {
    const number = ports.get(value);
    if (number !== undefined) return number;
    if (/^\d+$/.test(value)) return Number(value);
    const known = [...ports.keys()].join(', ');
    action.refuse(
      'port',
      `no port of this container is named ${value}`,
      known === '' ? 'name one in ports' : `named ports: ${known}`,
    );
    return 0;
  }
  if (value === undefined || value === null) action.refuse('port', 'missing', 'write a port number or the name of one');
  return action.integer('port', 0, 1, 65_535);
}
