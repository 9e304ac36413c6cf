/**
 * On which ports of a pod connections begin with a PROXY header: annotation `weir.dev/proxy-protocol-ports: "8080,9090"`.
 * Strict: a port that is misspelt must not silently be one without a header, because policy goes by what the header says.
 */

/** Container ports, comma-separated. */
export const PROXY_PROTOCOL_PORTS = 'weir.dev/proxy-protocol-ports';
/** Far more ports than a pod listens on. */
const PORTS_MAX = 64;

export type ProxyPorts =
  | { readonly ok: true; readonly ports: ReadonlySet<number> }
  /** One sentence for a person: what is wrong and what to write. */
  | { readonly ok: false; readonly reason: string };

const NONE: ProxyPorts = { ok: true, ports: new Set() };

/** Parses the annotation of a pod; no ports when it is absent or empty. */
export function parseProxyPorts(annotations: Readonly<Record<string, string>>): ProxyPorts {
  const text = Object.hasOwn(annotations, PROXY_PROTOCOL_PORTS) ? (annotations[PROXY_PROTOCOL_PORTS] ?? '') : '';
  if (text.trim() === '') return NONE;
  const ports = new Set<number>();
  for (const entry of text.split(',', PORTS_MAX + 1)) {
    const port = /^\s*([1-9][0-9]{0,4})\s*$/.exec(entry)?.[1];
    if (port === undefined || Number(port) > 65_535) {
      const shown = JSON.stringify(entry.trim().slice(0, 40));
      return { ok: false, reason: `${shown} is not a port from 1 to 65535; write for example "8080,9090"` };
    }
    ports.add(Number(port));
  }
  return ports.size > PORTS_MAX ? { ok: false, reason: `more than ${PORTS_MAX} ports` } : { ok: true, ports };
}
