/**
 * The foreign-function provider: the only file that knows koffi, so that `node:ffi` can replace it when it is stable.
 *
 * Place on the path: below everything. Above agent/engine nobody sees a pointer.
 * Cost measured here (x86-64, Node 20, koffi 3.3): about 0.15 µs per call over the system call itself; the integer types of
 * the signature (int, int64, intptr, size_t) make no measurable difference, nor does a pointer passed as number or Buffer.
 */
import koffi from 'koffi';

/** What a foreign function takes and returns here: integers, addresses as integers, or a Buffer for a `void *`. */
export type ForeignFunction = (...parameters: never[]) => number;

// null: the process itself. Node links the C library dynamically, so its symbols are found whatever the library is
// called (libc.so.6 with glibc, libc.musl-*.so.1 with musl). OpenSSL's symbols are in the same place.
const process_ = koffi.load(null);

/**
 * Declares one C function of the process by its prototype; throws when the symbol does not exist (start-up only).
 * F must match the prototype: nothing checks it, which is why declarations live in one file per library.
 */
export function declareForeign<F extends ForeignFunction>(prototype: string): F {
  return process_.func(prototype) as unknown as F;
}

/** errno of the last foreign call; meaningful only straight after a negative return, before any other call. 25 ns. */
export const readErrno: () => number = koffi.errno;

/** Address of a buffer's first octet. Valid while the buffer lives: the memory of an ArrayBuffer does not move. */
export function addressOf(bytes: Buffer): number {
  return Number(koffi.address(bytes)); // user-space addresses have 47 to 48 bits (52 with LVA): exact in a double
}
