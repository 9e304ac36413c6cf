/**
 * TCP sockets, IPv4 and IPv6, for the data plane.
 *
 * Every function returns ≥ 0, or −errno; none throws or waits. All sockets are non-blocking and close-on-exec. A socket belongs to
 * the network namespace it was opened in (netns.ts), wherever it is used later.
 * Known limit: no urgent data; TCP only.
 */
import type { PreparedAddress, SocketAddress } from './address.ts';
import { decodeAddress, prepareAddress } from './address.ts';
import { EFAULT, EINVAL } from './errno.ts';
import { readErrno } from './ffi.ts';
import { linger, sockaddrIn, sockaddrIn6 } from './layout.ts';
import * as libc from './libc.ts';
import type { PinnedBuffer } from './memory.ts';
import { allocatePinned } from './memory.ts';

const STREAM_FLAGS = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
const ACCEPT_FLAGS = libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
const SEND_FLAGS = libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT;

// Scratch memory for struct arguments. One thread, synchronous calls: one of each is enough.
const name = allocatePinned(sockaddrIn6.size);
const otherName = allocatePinned(sockaddrIn6.size);
const peerName = allocatePinned(sockaddrIn6.size);
const nameLength = allocatePinned(4);
const optionValue = allocatePinned(4);
const resetLinger = allocatePinned(linger.size);
resetLinger.bytes.writeInt32LE(1, linger.onOffset);
/** In every kernel, and allowed to everybody (tcp(7), tcp_allowed_congestion_control). */
const unpaced = allocatePinned(4);
unpaced.bytes.write('reno', 'latin1');
/** TCP_CA_NAME_MAX (linux/tcp.h). */
const congestionName = allocatePinned(16);

/** What a listener needs to know. */
export interface ListenerOptions {
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** SO_REUSEPORT: several workers, and an old and a new agent, share the port; the kernel spreads connections. */
  readonly reusePort: boolean;
  /** IP_TRANSPARENT: connections to addresses that are not local are accepted too. Needs CAP_NET_ADMIN. */
  readonly transparent?: boolean;
  /** SO_MARK of the listener, inherited by what it accepts, from the SYN+ACK on. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** Connections the kernel holds until they are accepted. */
  readonly backlog: number;
  /** Its peers are in its own network namespace: see setUnpaced, which what it accepts inherits. */
  readonly local?: boolean;
  /** IPv6 listeners only; default true, so that an IPv4 listener can have the same port. */
  readonly v6Only?: boolean;
}

/**
 * Opens a listening TCP socket in the current network namespace: its fd, or −errno (EADDRINUSE, EPERM, EMFILE, …).
 * TCP_NODELAY is set on it and inherited by accepted sockets. Throws RangeError on a malformed ip or port.
 */
export function openListener(options: ListenerOptions): number {
  const address = prepareAddress(options);
  const fd = libc.socket(address.family, STREAM_FLAGS, 0);
  if (fd < 0) return -readErrno();
  const failure = configureListener(fd, address, options);
  if (failure < 0) {
    libc.close(fd);
    return failure;
  }
  return fd;
}

function configureListener(fd: number, address: PreparedAddress, options: ListenerOptions): number {
  let result = setOption(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
  if (result === 0 && options.reusePort) result = setOption(fd, libc.SOL_SOCKET, libc.SO_REUSEPORT, 1);
  if (result === 0 && options.mark) result = setOption(fd, libc.SOL_SOCKET, libc.SO_MARK, options.mark);
  if (result === 0 && options.transparent) result = setTransparent(fd, address.family);
  if (result === 0 && address.family === libc.AF_INET6) {
    result = setOption(fd, libc.SOL_IPV6, libc.IPV6_V6ONLY, options.v6Only === false ? 0 : 1);
  }
  if (result === 0) result = setNoDelay(fd);
  if (result === 0 && options.local) setUnpaced(fd);
  if (result === 0 && libc.bind(fd, address.pinned.address, address.length) < 0) result = -readErrno();
  if (result === 0 && libc.listen(fd, options.backlog) < 0) result = -readErrno();
  return result;
}

/**
 * Accepts one connection: its fd, or −errno. −EAGAIN: none waiting. −ECONNABORTED: try the next. −EMFILE, −ENFILE, −ENOBUFS, −ENOMEM: the
 * connection stays in the queue and the listener stays readable, so stop listening for a while instead of trying again.
 */
export function acceptConnection(listenerFd: number): number {
  nameLength.bytes[0] = sockaddrIn6.size; // upper octets stay 0: the kernel writes lengths up to 128
  const fd = libc.accept4(listenerFd, peerName.address, nameLength.address, ACCEPT_FLAGS);
  return fd < 0 ? -readErrno() : fd;
}

const UNKNOWN_PEER: SocketAddress = { ip: '', port: 0 };

/** The peer of the connection that acceptConnection returned last; decoded on demand. */
export function lastPeer(): SocketAddress {
  return decodeAddress(peerName.bytes) ?? UNKNOWN_PEER;
}

/** What an outgoing socket needs to know. */
export interface StreamOptions {
  readonly family: 2 | 10;
  /** SO_MARK; 0: none. Needs CAP_NET_ADMIN. */
  readonly mark: number;
  /** IP_TRANSPARENT: `source` may be an address that is not local. Needs CAP_NET_ADMIN. */
  readonly transparent: boolean;
  /** Its peer is in its own network namespace: see setUnpaced. */
  readonly local?: boolean;
  /** Bound before connecting; with port 0 the port is chosen at connect, so only the 4-tuple has to be free. */
  readonly source: PreparedAddress | null;
}

/** Opens a TCP socket for connectTo in the current network namespace, TCP_NODELAY set: its fd, or −errno. */
export function openStream(options: StreamOptions): number {
  const fd = libc.socket(options.family, STREAM_FLAGS, 0);
  if (fd < 0) return -readErrno();
  const failure = configureStream(fd, options);
  if (failure < 0) {
    libc.close(fd);
    return failure;
  }
  return fd;
}

function configureStream(fd: number, options: StreamOptions): number {
  let result = setNoDelay(fd);
  if (options.local) setUnpaced(fd);
  if (result === 0 && options.mark !== 0) result = setOption(fd, libc.SOL_SOCKET, libc.SO_MARK, options.mark);
  if (result === 0 && options.transparent) result = setTransparent(fd, options.family);
  const source = options.source;
  if (result < 0 || source === null) return result;
  if (source.family !== options.family) return -EINVAL;
  // ip(7): without this, bind reserves a port for all destinations and 28,000 connections exhaust an address. Also for IPv6.
  result = setOption(fd, libc.SOL_IP, libc.IP_BIND_ADDRESS_NO_PORT, 1);
  if (result === 0 && libc.bind(fd, source.pinned.address, source.length) < 0) result = -readErrno();
  return result;
}

/** Starts connecting. −EINPROGRESS is the normal answer: wait for WRITABLE, then ask takeSocketError. */
export function connectTo(fd: number, to: PreparedAddress): number {
  return libc.connect(fd, to.pinned.address, to.length) < 0 ? -readErrno() : 0;
}

/** Whether the handshake of a socket given to connectTo is over: on one node it mostly is when connectTo returns. */
export function isConnected(fd: number): boolean {
  return readName(libc.getpeername, fd, otherName); // ENOTCONN until then
}

/** Reads up to `length` octets into the buffer: the count; 0 = the peer has sent FIN; −EAGAIN; −ECONNRESET; … */
export function receive(fd: number, into: PinnedBuffer, offset: number, length: number): number {
  if (!fits(into, offset, length)) return -EFAULT;
  if (length === 0) return -EINVAL; // recv(2) would answer 0, which means end of stream
  const count = libc.recv(fd, into.address + offset, length, libc.MSG_DONTWAIT);
  return count < 0 ? -readErrno() : count;
}

/** Like receive, but the octets stay in the socket: for protocol detection before a splice. */
export function peek(fd: number, into: PinnedBuffer, offset: number, length: number): number {
  if (!fits(into, offset, length)) return -EFAULT;
  if (length === 0) return -EINVAL;
  const count = libc.recv(fd, into.address + offset, length, libc.MSG_DONTWAIT | libc.MSG_PEEK);
  return count < 0 ? -readErrno() : count;
}

/** Drops up to `length` octets that peek has shown, without copying them (tcp(7), MSG_TRUNC): the count, or −errno. */
export function discard(fd: number, length: number): number {
  if (length <= 0) return -EINVAL;
  const count = libc.recv(fd, 0, length, libc.MSG_DONTWAIT | libc.MSG_TRUNC);
  return count < 0 ? -readErrno() : count;
}

/**
 * Writes what the kernel takes: the count, possibly less than `length`; −EAGAIN: full; −EPIPE, −ECONNRESET: the peer is gone.
 * @param more tcp(7), MSG_MORE: less than a segment waits for what follows, up to 200 ms. With a FIN it leaves at once, in one segment.
 */
export function send(fd: number, from: PinnedBuffer, offset: number, length: number, more = false): number {
  if (!fits(from, offset, length)) return -EFAULT;
  const count = libc.sendFrom(fd, from.address + offset, length, more ? SEND_FLAGS | libc.MSG_MORE : SEND_FLAGS);
  return count < 0 ? -readErrno() : count;
}

/** Like send, from an ordinary Buffer (queued copies). With an offset above 0 it makes a view, so it is for the slow case. */
export function sendBuffer(fd: number, from: Buffer, offset: number, length: number): number {
  if (!(offset >= 0 && length >= 0 && offset + length <= from.length)) return -EFAULT;
  const count = libc.sendBytes(fd, offset === 0 ? from : from.subarray(offset), length, SEND_FLAGS);
  return count < 0 ? -readErrno() : count;
}

// A mistake in offsets must not become memory corruption. Written so that NaN fails.
function fits(buffer: PinnedBuffer, offset: number, length: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= buffer.length;
}

/**
 * Where an accepted connection was going before capture; null when nothing captured it (it was dialled directly). `family` and `port`: of the
 * listener. Sources: SO_ORIGINAL_DST where it was redirected, which also answers for connections without NAT, with their own destination; the
 * socket's own address where it was routed here (TPROXY), of which connection tracking knows nothing. Direct dials are told apart: only a
 * destination with the listener's port can be the socket's own address, so this takes one system call, and two for such a port.
 */
export function originalDestination(fd: number, family: 2 | 10, port: number): SocketAddress | null {
  const isV4 = family === libc.AF_INET;
  nameLength.bytes[0] = isV4 ? sockaddrIn.size : sockaddrIn6.size;
  const level = isV4 ? libc.SOL_IP : libc.SOL_IPV6;
  if (libc.getsockopt(fd, level, libc.SO_ORIGINAL_DST, name.address, nameLength.address) < 0) {
    const own = localAddress(fd);
    return own === null || own.port === port ? null : own;
  }
  const layout = isV4 ? sockaddrIn : sockaddrIn6;
  if (name.bytes.readUInt16BE(layout.portOffset) !== port) return decodeAddress(name.bytes);
  if (!readName(libc.getsockname, fd, otherName)) return null;
  return sameEndpoint(name.bytes, otherName.bytes, isV4) ? null : decodeAddress(name.bytes);
}

function sameEndpoint(a: Buffer, b: Buffer, isV4: boolean): boolean {
  const layout = isV4 ? sockaddrIn : sockaddrIn6;
  const end = layout.addressOffset + layout.addressSize;
  if (
    a.readUInt16LE(0) !== b.readUInt16LE(0) ||
    a.readUInt16BE(layout.portOffset) !== b.readUInt16BE(layout.portOffset)
  ) {
    return false;
  }
  return a.compare(b, layout.addressOffset, end, layout.addressOffset, end) === 0;
}

/** The socket's own address; null when it has none any more. */
export function localAddress(fd: number): SocketAddress | null {
  return readName(libc.getsockname, fd, name) ? decodeAddress(name.bytes) : null;
}

/** The peer's address; null when the socket is not connected. */
export function peerAddress(fd: number): SocketAddress | null {
  return readName(libc.getpeername, fd, name) ? decodeAddress(name.bytes) : null;
}

function readName(call: typeof libc.getsockname, fd: number, into: PinnedBuffer): boolean {
  nameLength.bytes[0] = sockaddrIn6.size;
  return call(fd, into.address, nameLength.address) === 0;
}

/** Takes the pending error: 0 = none (after WRITABLE: connected), else −errno. It is reported once, to whoever asks first. */
export function takeSocketError(fd: number): number {
  const value = readOption(fd, libc.SOL_SOCKET, libc.SO_ERROR);
  return value > 0 ? -value : value;
}

/** TCP_NODELAY, for sockets that were not opened here: 0 or −errno. */
export function setNoDelay(fd: number): number {
  return setOption(fd, libc.SOL_TCP, libc.TCP_NODELAY, 1);
}

/**
 * For a connection that leaves neither its namespace nor this node: no congestion control that paces (tcp(7), TCP_CONGESTION). Where the
 * node's default is bbr, each segment would wait for a timer interrupt of its own, on a path that has nothing to congest: more than half of
 * what a relay costs (docs/adr/0011-engine-experiments.md). Should it be refused, the connection works all the same.
 */
function setUnpaced(fd: number): void {
  libc.setsockopt(fd, libc.SOL_TCP, libc.TCP_CONGESTION, unpaced.address, unpaced.length);
}

/** Name of a socket's congestion control, for diagnosis; '' when it cannot be read. */
export function congestionControlOf(fd: number): string {
  nameLength.bytes[0] = congestionName.length;
  congestionName.bytes.fill(0);
  libc.getsockopt(fd, libc.SOL_TCP, libc.TCP_CONGESTION, congestionName.address, nameLength.address);
  return congestionName.bytes.toString('latin1').replace(/\0.*$/s, '');
}

/** SO_LINGER 0: close will send RST instead of FIN, so the peer cannot take a cut for an end. 0 or −errno. */
export function setReset(fd: number): number {
  return libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_LINGER, resetLinger.address, linger.size) < 0 ? -readErrno() : 0;
}

/** Sends FIN; the socket can still be read. 0 or −errno (−ENOTCONN: the peer has reset it). */
export function shutdownWrite(fd: number): number {
  return libc.shutdown(fd, libc.SHUT_WR) < 0 ? -readErrno() : 0;
}

/** Closes a descriptor: 0 or −errno. It is gone in either case (close(2)): never repeat. Reactor.remove comes first. */
export function closeFd(fd: number): number {
  return libc.close(fd) < 0 ? -readErrno() : 0;
}

/** O_NONBLOCK on an inherited descriptor, e.g. the worker's end of the IPC socket: 0 or −errno. */
export function setNonBlocking(fd: number): number {
  const flags = libc.fcntl(fd, libc.F_GETFL, 0);
  if (flags < 0) return -readErrno();
  return libc.fcntl(fd, libc.F_SETFL, flags | libc.O_NONBLOCK) < 0 ? -readErrno() : 0;
}

/** SO_MARK of a socket, for diagnosis: the mark, or −errno. */
export function markOf(fd: number): number {
  return readOption(fd, libc.SOL_SOCKET, libc.SO_MARK);
}

function setTransparent(fd: number, family: number): number {
  return family === libc.AF_INET
    ? setOption(fd, libc.SOL_IP, libc.IP_TRANSPARENT, 1)
    : setOption(fd, libc.SOL_IPV6, libc.IPV6_TRANSPARENT, 1);
}

function setOption(fd: number, level: number, option: number, value: number): number {
  optionValue.bytes.writeInt32LE(value, 0);
  return libc.setsockopt(fd, level, option, optionValue.address, 4) < 0 ? -readErrno() : 0;
}

function readOption(fd: number, level: number, option: number): number {
  nameLength.bytes[0] = 4;
  if (libc.getsockopt(fd, level, option, optionValue.address, nameLength.address) < 0) return -readErrno();
  return optionValue.bytes.readInt32LE(0);
}
