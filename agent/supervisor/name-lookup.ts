/**
 * One DNS query, with Node's own resolver (c-ares): host names of ServiceEntries are whole names, so neither the search list of
 * resolv.conf nor /etc/hosts is asked. In a cluster that is the cluster's DNS (dnsPolicy: ClusterFirstWithHostNet), as it is for pods.
 * c-ares repeats over TCP what does not fit into a UDP answer, and bounds how long all of it takes.
 */
import { promises as dns } from 'node:dns';
import { limits } from '../limits.ts';
import type { LookupResult, Query } from './name-schedule.ts';

/** What c-ares says when the name, or the type, does not exist: an answer, and no failure. */
const ABSENT: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

export interface LookupOptions {
  /** `ip` or `ip:port`; empty: those of /etc/resolv.conf. */
  readonly servers: readonly string[];
  /** Left out: those of limits.ts. */
  readonly timeoutMs?: number;
  readonly tries?: number;
}

export class DnsLookup {
  readonly #resolver: dns.Resolver;

  /** Throws when a server is no address. */
  constructor({ servers, timeoutMs, tries }: LookupOptions) {
    this.#resolver = new dns.Resolver({
      timeout: timeoutMs ?? limits.nameLookupTimeoutMs,
      tries: tries ?? limits.nameLookupTries,
    });
    if (servers.length > 0) this.#resolver.setServers(servers);
  }

  /** Never rejects. */
  async lookup({ name, family }: Query): Promise<LookupResult> {
    try {
      const records = await (family === 4
        ? this.#resolver.resolve4(name, { ttl: true })
        : this.#resolver.resolve6(name, { ttl: true }));
      if (records.length === 0) return { kind: 'none' };
      const ttlMs = 1_000 * Math.min(...records.map(({ ttl }) => ttl));
      return { kind: 'addresses', addresses: records.map(({ address }) => address), ttlMs };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return ABSENT.has(code) ? { kind: 'none' } : { kind: 'failed', reason: code ?? message };
    }
  }

  /** Ends what runs: it fails. */
  close(): void {
    this.#resolver.cancel();
  }
}
