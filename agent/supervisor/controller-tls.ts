/** The TLS files of the connection to the controller. */
import { readFileSync } from 'node:fs';
import type { ControlTls } from '../control/client.ts';
import { messageOf } from './log.ts';
import type { ControllerTls } from './options.ts';

/** Reads them; throws Error that names the flag. Null: the connection is plaintext. */
export function readTls(tls: ControllerTls | null): ControlTls | null {
  if (tls === null) return null;
  const read = (flag: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Error(`${flag} ${path}: ${messageOf(error)}`);
    }
  };
  return {
    ca: read('--controller-ca', tls.caFile),
    cert: tls.certFile === null ? null : read('--controller-cert', tls.certFile),
    key: tls.keyFile === null ? null : read('--controller-key', tls.keyFile),
  };
}
