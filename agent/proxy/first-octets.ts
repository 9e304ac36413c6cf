/**
 * Step 3, the decision: what a connection is, by what its port declares and by the octets so far.
 *
 *   PROXY header (where one is due) ─► HTTP/1, HTTP/2 ─► their own handlers
 *                                   ├► TLS ─► server name, if the ClientHello is there or someone decides by it ─┐
 *                                   └► anything else ────────────────────────────────────────────────────────────┴► relay
 *
 * What cannot be told apart is relayed under the connection's L4 verdict, so a wrong guess breaks nothing; what only looks
 * like TLS counts as "server name not known" in policy, so it gains nothing either.
 */
import { limits } from '../limits.ts';
import type { PortProtocol } from '../../mesh/model.ts';
import { readProxyHeader } from '../proxy-protocol/header.ts';
import { type ClientHelloParser, FOUND, NEED_MORE as HELLO_NEEDS_MORE } from '../tls/client-hello.ts';
import { IS_HTTP, IS_HTTP2, IS_OPAQUE, IS_TLS, NEED_MORE, detect } from './detect.ts';
import type { Flow } from './flow.ts';
import { headerAccepted } from './proxy-header.ts';

/** Read more before deciding. */
export const WAIT = 0;
/** As WAIT, and it is the rest of a ClientHello: go on with `hello`, which has taken all octets so far. */
export const WAIT_HELLO = 1;
export const TO_HTTP = 2;
export const TO_HTTP2 = 3;
export const TO_RELAY = 4;
/** A PROXY header that is due is broken or missing: reset. */
export const REFUSED = 5;
export type Step =
  | typeof WAIT
  | typeof WAIT_HELLO
  | typeof TO_HTTP
  | typeof TO_HTTP2
  | typeof TO_RELAY
  | typeof REFUSED;

/** Where the octets after a PROXY header begin; set by each call of firstOctets(). */
export const payload = { start: 0 };

/**
 * Decides by octets [0, end), everything the client has sent. Sets what is learnt on the flow. Called again with more
 * octets from the beginning after WAIT (a few dozen, or one PROXY header), never after anything else.
 * @param protocol what the port is declared to carry; `tcp` also where nobody needs HTTP to be parsed.
 * @param required the connection must begin with a PROXY header.
 * @param hello ready for a new connection; keeps its state when WAIT_HELLO is answered.
 */
export function firstOctets(
  flow: Flow,
  protocol: PortProtocol,
  bytes: Buffer,
  end: number,
  required: boolean,
  hello: ClientHelloParser,
): Step {
  payload.start = 0;
  const declaredHttp = protocol === 'http';
  let kind = required ? IS_OPAQUE : detect(bytes, 0, end, declaredHttp);
  if (required || mayBeHeader(bytes, end)) {
    const header = readProxyHeader(bytes, 0, end, limits.proxyHeaderBytesMax);
    const wanted = required || (header.kind !== 'absent' && headerAccepted(flow));
    if (wanted) {
      if (header.kind === 'need-more') return WAIT;
      if (header.kind !== 'found') return REFUSED;
      flow.proxied(Buffer.from(bytes.subarray(0, header.length)), header.source?.ip ?? null);
      payload.start = header.length;
      // Its server may speak first, and only after the header.
      if (protocol === 'tcp' && !flow.needsServerName()) return TO_RELAY;
      kind = header.length === end ? NEED_MORE : detect(bytes, header.length, end, declaredHttp);
      // A routed request may go anywhere; the header belongs to one connection to one endpoint.
      if (flow.direction === 'outbound' && (kind === IS_HTTP || kind === IS_HTTP2)) return opaque(flow);
    }
  }
  return afterHeader(flow, protocol, kind, bytes, end, hello);
}

function afterHeader(
  flow: Flow,
  protocol: PortProtocol,
  kind: ReturnType<typeof detect>,
  bytes: Buffer,
  end: number,
  hello: ClientHelloParser,
): Step {
  switch (kind) {
    case NEED_MORE:
      return WAIT;
    case IS_HTTP:
    case IS_HTTP2:
      flow.serverName = '';
      // A port that is declared as something else keeps its word.
      if (flow.protocol === 'tcp' || flow.protocol === 'tls') return opaque(flow);
      flow.carries = 'http';
      if (protocol === 'tcp') return TO_RELAY;
      return kind === IS_HTTP ? TO_HTTP : TO_HTTP2;
    case IS_OPAQUE:
      // Never so on a port that is declared http, unless it begins like TLS: see detect().
      return opaque(flow);
    case IS_TLS:
      flow.carries = 'tls';
      return clientHello(flow, hello, bytes, payload.start, end) ? TO_RELAY : WAIT_HELLO;
  }
}

function opaque(flow: Flow): Step {
  flow.carries = 'opaque';
  flow.serverName = '';
  return TO_RELAY;
}

/** Takes further octets of a ClientHello; true when the connection can be decided. */
export function clientHello(flow: Flow, hello: ClientHelloParser, bytes: Buffer, start: number, end: number): boolean {
  const result = hello.push(bytes, start, end);
  if (result === HELLO_NEEDS_MORE) return !flow.needsServerName();
  if (result === FOUND) {
    flow.serverName = hello.hello().serverName;
    return true;
  }
  flow.serverName = null;
  if (hello.tooLong) flow.context.bounds.hit('clientHelloBytesMax');
  else flow.context.bounds.event('client_hello_malformed');
  return true;
}

/** `PROX` or the binary signature's CR LF CR: cheap to rule out for everything else. */
function mayBeHeader(bytes: Buffer, end: number): boolean {
  return (
    end > 2 && ((bytes[0] === 0x50 && bytes[1] === 0x52 && bytes[2] === 0x4f) || (bytes[0] === 13 && bytes[2] === 13))
  );
}
