/**
 * C struct layouts as plain offsets, for x86-64 and arm64 Linux. Pure: tested for both on either.
 *
 * Both are little-endian LP64, so almost everything is the same; epoll_event is not: it is packed on x86-64 only
 * (`EPOLL_PACKED` in linux/eventpoll.h).
 */

/** Processor architectures with a tested layout. */
export type Architecture = 'x64' | 'arm64';

/** struct epoll_event { u32 events; u64 data }: octets. */
export interface EpollEventLayout {
  readonly size: number;
  readonly eventsOffset: number;
  readonly dataOffset: number;
}

/** The supported name of `process.arch`; throws at start-up on anything else, because a wrong layout corrupts memory. */
export function architectureOf(arch: string): Architecture {
  if (arch === 'x64' || arch === 'arm64') return arch;
  throw new Error(`weir runs on x64 and arm64, not on ${arch}: its kernel struct layouts have not been described`);
}

/** Layout of struct epoll_event. x86-64: 12 octets, data at 4. arm64: 16 octets, data at 8. */
export function epollEventLayout(architecture: Architecture): EpollEventLayout {
  return architecture === 'x64'
    ? { size: 12, eventsOffset: 0, dataOffset: 4 }
    : { size: 16, eventsOffset: 0, dataOffset: 8 };
}

/** struct sockaddr_in (ip(7)): u16 family, u16 port (network order), u8[4] address, 8 octets of padding. */
export const sockaddrIn = { size: 16, portOffset: 2, addressOffset: 4, addressSize: 4 } as const;

/** struct sockaddr_in6 (ipv6(7)): u16 family, u16 port, u32 flow label, u8[16] address, u32 scope (interface index). */
export const sockaddrIn6 = { size: 28, portOffset: 2, addressOffset: 8, addressSize: 16, scopeOffset: 24 } as const;

/** struct linger (socket(7)): int l_onoff, int l_linger in seconds. */
export const linger = { size: 8, onOffset: 0, secondsOffset: 4 } as const;

/** struct rlimit (getrlimit(2)) with 64-bit rlim_t: soft, hard. */
export const rlimit = { size: 16, softOffset: 0, hardOffset: 8 } as const;

/** int[2] of pipe2(2): read end, write end. */
export const pipeEnds = { size: 8, readOffset: 0, writeOffset: 4 } as const;
