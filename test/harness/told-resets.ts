/**
 * Resets that Node tells as ends. When libuv comes to a socket on which both octets and a RST have arrived, it reads the octets and
 * says that the rest is the end (uv__stream_io in src/unix/stream.c: POLLHUP after a partial read): `end`, no `error`, and where a
 * socket may be half open no `close` either. Whoever waits for those waits for ever. The kernel still has the error.
 */
import type { Socket } from 'node:net';
import { ECONNRESET } from '../../agent/engine/errno.ts';
import { takeSocketError } from '../../agent/engine/socket.ts';

/** Makes a socket that was reset emit `error` (ECONNRESET) and `close`, also when libuv takes it for an end; `end` comes before. */
export function tellResets(socket: Socket): void {
  socket.prependOnceListener('end', () => {
    const fd = (socket as unknown as { readonly _handle: { readonly fd: number } | null })._handle?.fd ?? -1;
    // With a FIN before it, it did end, and the error is EPIPE.
    if (fd < 0 || takeSocketError(fd) !== -ECONNRESET) return;
    socket.destroy(Object.assign(new Error('read ECONNRESET, told as an end'), { code: 'ECONNRESET' }));
  });
}
