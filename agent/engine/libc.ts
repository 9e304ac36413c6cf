/**
 * Every function of the C library that weir calls, declared once.
 *
 * Pointers are int64 and passed as numbers (memory.ts); `void *` only where a caller hands over a Buffer. Constants are those
 * of the generic Linux ABI and the same on x86-64 and arm64; what differs is in layout.ts.
 * Variadic functions (fcntl, ioctl) are declared with fixed parameters: Linux passes both alike on both architectures.
 */
import { declareForeign } from './ffi.ts';

// --- sockets: socket(2) and friends
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_PEEK = 0x2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_MORE = 0x8000;
export const MSG_NOSIGNAL = 0x4000;
export const SHUT_WR = 1;

export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_TCP = 6;
export const SOL_IPV6 = 41;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_MARK = 36;
export const TCP_NODELAY = 1;
export const TCP_CONGESTION = 13;
export const IP_TRANSPARENT = 19;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IPV6_V6ONLY = 26;
export const IPV6_TRANSPARENT = 75;
/** SO_ORIGINAL_DST (linux/netfilter_ipv4.h) and IP6T_SO_ORIGINAL_DST (linux/netfilter_ipv6/ip6_tables.h). */
export const SO_ORIGINAL_DST = 80;

export const socket =
  declareForeign<(family: number, type: number, protocol: number) => number>('int socket(int, int, int)');
export const bind =
  declareForeign<(fd: number, address: number, length: number) => number>('int bind(int, int64, int)');
export const listen = declareForeign<(fd: number, backlog: number) => number>('int listen(int, int)');
export const accept4 = declareForeign<(fd: number, address: number, lengthAt: number, flags: number) => number>(
  'int accept4(int, int64, int64, int)',
);
export const connect =
  declareForeign<(fd: number, address: number, length: number) => number>('int connect(int, int64, int)');
export const recv = declareForeign<(fd: number, address: number, length: number, flags: number) => number>(
  'int recv(int, int64, int, int)',
);
export const sendFrom = declareForeign<(fd: number, address: number, length: number, flags: number) => number>(
  'int send(int, int64, int, int)',
);
export const sendBytes = declareForeign<(fd: number, bytes: Buffer, length: number, flags: number) => number>(
  'int send(int, void *, int, int)',
);
export const getsockopt = declareForeign<
  (fd: number, level: number, option: number, valueAt: number, lengthAt: number) => number
>('int getsockopt(int, int, int, int64, int64)');
export const setsockopt = declareForeign<
  (fd: number, level: number, option: number, valueAt: number, length: number) => number
>('int setsockopt(int, int, int, int64, int)');
export const getsockname = declareForeign<(fd: number, address: number, lengthAt: number) => number>(
  'int getsockname(int, int64, int64)',
);
export const getpeername = declareForeign<(fd: number, address: number, lengthAt: number) => number>(
  'int getpeername(int, int64, int64)',
);
export const shutdown = declareForeign<(fd: number, how: number) => number>('int shutdown(int, int)');
export const close = declareForeign<(fd: number) => number>('int close(int)');

// --- files and pipes
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETPIPE_SZ = 1031;
export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;

export const fcntl =
  declareForeign<(fd: number, command: number, argument: number) => number>('int fcntl(int, int, int)');
export const pipe2 = declareForeign<(fdsAt: number, flags: number) => number>('int pipe2(int64, int)');
export const splice = declareForeign<
  (from: number, fromOffsetAt: number, to: number, toOffsetAt: number, length: number, flags: number) => number
>('int64 splice(int, int64, int, int64, int64, uint)');

// --- epoll(7)
export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

export const epollCreate1 = declareForeign<(flags: number) => number>('int epoll_create1(int)');
export const epollCtl = declareForeign<(epollFd: number, operation: number, fd: number, eventAt: number) => number>(
  'int epoll_ctl(int, int, int, int64)',
);
export const epollWait = declareForeign<
  (epollFd: number, eventsAt: number, eventsMax: number, timeoutMs: number) => number
>('int epoll_wait(int, int64, int, int)');

// --- namespaces and limits
export const CLONE_NEWNET = 0x4000_0000;
/** ioctl_ns(2): the CLONE_NEW* value of the namespace a descriptor stands for. */
export const NS_GET_NSTYPE = 0xb703;
export const RLIMIT_NOFILE = 7;

export const setns = declareForeign<(fd: number, type: number) => number>('int setns(int, int)');
export const ioctl =
  declareForeign<(fd: number, request: number, argument: number) => number>('int ioctl(int, ulong, int64)');
export const prlimit = declareForeign<(pid: number, resource: number, newAt: number, oldAt: number) => number>(
  'int prlimit(int, int, int64, int64)',
);
