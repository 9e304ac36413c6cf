/** What capture needs from the sockets: original destinations, marks, and a client's address spoofed in the server's own namespace. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { prepareAddress } from '../../agent/engine/address.ts';
import * as errno from '../../agent/engine/errno.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { READABLE, WRITABLE } from '../../agent/engine/reactor.ts';
import * as socket from '../../agent/engine/socket.ts';
import { BYPASS_MARK, OUTBOUND_PORT, REPLY_MARK } from '../../mesh/ports.ts';
import { ok, sendText, waitFor } from '../integration/engine-loopback.ts';
import type { TestPod } from './engine-pods.ts';
import { inPod, makePods, removePods } from './engine-pods.ts';

const BRIDGE = 'br-cap';
const PORT = 8080;
const buffer = allocatePinned(256);
let pods: TestPod[] = [];

function pod(index: number): TestPod {
  const found = pods[index];
  assert.ok(found);
  return found;
}

before(() => {
  pods = makePods(BRIDGE, ['cap-a', 'cap-b']);
  const a = pod(0);
  const b = pod(1);
  for (const [iptables, ip] of [
    ['iptables', 'ip -4'],
    ['ip6tables', 'ip -6'],
  ] as const) {
    // A: what it dials is captured, unless marked.
    inPod(
      a,
      `${iptables} -t nat -A OUTPUT -p tcp -m mark ! --mark ${BYPASS_MARK} -j REDIRECT --to-ports ${OUTBOUND_PORT}`,
    );
    // B: connections that the agent opens here with a client's address are answered to the agent.
    inPod(
      b,
      `${iptables} -t mangle -A PREROUTING -i lo -p tcp -m mark --mark ${BYPASS_MARK} -j CONNMARK --set-mark ${REPLY_MARK}`,
    );
    inPod(
      b,
      `${iptables} -t mangle -A OUTPUT -p tcp -m connmark --mark ${REPLY_MARK} -j MARK --set-mark ${REPLY_MARK}`,
    );
    inPod(b, `${ip} rule add fwmark ${REPLY_MARK} lookup 100`);
    inPod(b, `${ip} route add local default dev lo table 100`);
  }
});
after(() => removePods(BRIDGE, pods));

function openIn(
  where: TestPod,
  ip: string,
  port: number,
  options: { mark?: number; transparent?: boolean } = {},
): number {
  return where.namespace.run(() => ok(socket.openListener({ ip, port, reusePort: false, backlog: 8, ...options })));
}

function closeAll(...fds: readonly number[]): void {
  for (const fd of fds) assert.equal(socket.closeFd(fd), 0);
}

/** An octet string there and one back. */
function exchange(one: number, other: number): void {
  for (const [from, to, text] of [
    [one, other, 'ping'],
    [other, one, 'pong!'],
  ] as const) {
    sendText(from, text);
    waitFor(to, READABLE);
    const count = ok(socket.receive(to, buffer, 0, buffer.length));
    assert.equal(buffer.bytes.toString('latin1', 0, count), text);
  }
}

for (const [family, number] of [
  ['v4', 2],
  ['v6', 10],
] as const) {
  const any = family === 'v4' ? '0.0.0.0' : '::';

  test(`${family}: a redirected connection tells where it was going`, () => {
    const [a, b] = [pod(0), pod(1)];
    const capture = openIn(a, any, OUTBOUND_PORT);
    const client = a.namespace.run(() =>
      ok(socket.openStream({ family: number, mark: 0, transparent: false, source: null })),
    );
    assert.equal(socket.connectTo(client, prepareAddress({ ip: b[family], port: 1234 })), -errno.EINPROGRESS);
    waitFor(capture, READABLE);
    const accepted = ok(socket.acceptConnection(capture));
    assert.deepEqual(socket.originalDestination(accepted, number, OUTBOUND_PORT), { ip: b[family], port: 1234 });
    assert.equal(socket.lastPeer().ip, a[family]);
    assert.equal(socket.localAddress(accepted)?.port, OUTBOUND_PORT);
    waitFor(client, WRITABLE);
    assert.equal(socket.takeSocketError(client), 0);
    exchange(client, accepted);
    closeAll(client, accepted, capture);
  });

  test(`${family}: a connection that was dialled directly has no original destination, though it is tracked`, () => {
    const [a, b] = [pod(0), pod(1)];
    const capture = openIn(a, any, OUTBOUND_PORT);
    const client = b.namespace.run(() =>
      ok(socket.openStream({ family: number, mark: 0, transparent: false, source: null })),
    );
    socket.connectTo(client, prepareAddress({ ip: a[family], port: OUTBOUND_PORT }));
    waitFor(capture, READABLE);
    const accepted = ok(socket.acceptConnection(capture));
    assert.equal(socket.originalDestination(accepted, number, OUTBOUND_PORT), null);
    closeAll(client, accepted, capture);
  });

  test(`${family}: a marked socket passes the redirection, and accepted sockets carry their listener's mark`, () => {
    const [a, b] = [pod(0), pod(1)];
    const server = openIn(b, any, PORT);
    const marked = openIn(a, any, OUTBOUND_PORT, { mark: BYPASS_MARK });
    const upstream = a.namespace.run(() =>
      ok(socket.openStream({ family: number, mark: BYPASS_MARK, transparent: false, source: null })),
    );
    assert.equal(socket.markOf(upstream), BYPASS_MARK);
    socket.connectTo(upstream, prepareAddress({ ip: b[family], port: PORT }));
    waitFor(server, READABLE);
    const accepted = ok(socket.acceptConnection(server));
    assert.equal(socket.lastPeer().ip, a[family]);
    assert.equal(socket.markOf(accepted), 0);
    const client = a.namespace.run(() =>
      ok(socket.openStream({ family: number, mark: 0, transparent: false, source: null })),
    );
    socket.connectTo(client, prepareAddress({ ip: b[family], port: PORT }));
    waitFor(marked, READABLE);
    const captured = ok(socket.acceptConnection(marked));
    assert.equal(socket.markOf(captured), BYPASS_MARK);
    closeAll(upstream, accepted, server, client, captured, marked);
  });

  test(`${family}: single pass: a socket in B's namespace with A's address reaches B's server, and the replies come back to it`, () => {
    const [a, b] = [pod(0), pod(1)];
    const server = openIn(b, any, PORT);
    const source = prepareAddress({ ip: a[family], port: 0 });
    const upstream = b.namespace.run(() => {
      const plain = socket.openStream({ family: number, mark: BYPASS_MARK, transparent: false, source });
      assert.equal(plain, -errno.EADDRNOTAVAIL, 'without IP_TRANSPARENT the address is refused');
      return ok(socket.openStream({ family: number, mark: BYPASS_MARK, transparent: true, source }));
    });
    assert.equal(socket.connectTo(upstream, prepareAddress({ ip: b[family], port: PORT })), -errno.EINPROGRESS);
    waitFor(upstream, WRITABLE);
    assert.equal(socket.takeSocketError(upstream), 0);
    waitFor(server, READABLE);
    const accepted = ok(socket.acceptConnection(server));
    const peer = socket.lastPeer();
    assert.equal(peer.ip, a[family]);
    assert.deepEqual(socket.localAddress(upstream), peer);
    exchange(upstream, accepted);
    // A itself never saw a packet of it: no socket there has this port.
    assert.equal(inPod(a, 'ss -tanH').includes(`:${peer.port}`), false);
    // The end, too, finds its way in both directions.
    socket.shutdownWrite(upstream);
    waitFor(accepted, READABLE);
    assert.equal(socket.receive(accepted, buffer, 0, buffer.length), 0);
    closeAll(accepted);
    waitFor(upstream, READABLE);
    assert.equal(socket.receive(upstream, buffer, 0, buffer.length), 0);
    closeAll(upstream, server);
  });

  test(`${family}: a transparent source may name the client's port too`, () => {
    const [a, b] = [pod(0), pod(1)];
    const server = openIn(b, any, PORT);
    const source = prepareAddress({ ip: a[family], port: 45_678 });
    const upstream = b.namespace.run(() =>
      ok(socket.openStream({ family: number, mark: BYPASS_MARK, transparent: true, source })),
    );
    socket.connectTo(upstream, prepareAddress({ ip: b[family], port: PORT }));
    waitFor(server, READABLE);
    const accepted = ok(socket.acceptConnection(server));
    assert.deepEqual(socket.lastPeer(), { ip: a[family], port: 45_678 });
    closeAll(upstream, accepted, server);
  });

  test(`${family}: a transparent listener can be opened on an address that is not local`, () => {
    const foreign = family === 'v4' ? '192.0.2.1' : '2001:db8::1';
    const b = pod(1);
    b.namespace.run(() => {
      const refused = socket.openListener({ ip: foreign, port: 99, reusePort: false, backlog: 1 });
      assert.equal(refused, -errno.EADDRNOTAVAIL);
    });
    closeAll(openIn(b, foreign, 99, { transparent: true }));
  });
}
