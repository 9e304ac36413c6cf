/** Stand-ins for the supervisor's side of Enrolment: they record what was asked, in order, and fail on demand. */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Enrolment } from '../../../agent/capture/enrolment.ts';
import type {
  AddRequest,
  AppliedRules,
  EnrolmentDeps,
  EnrolmentOptions,
  PodIdentity,
  PodReference,
} from '../../../agent/capture/enrolment-types.ts';
import { done, failure, type Result, success } from '../../../agent/capture/result.ts';

export class FakeNode {
  readonly stateDir = mkdtempSync(join(tmpdir(), 'weir-enrolment-'));
  /** Everything that was asked, in order. */
  readonly calls: string[] = [];
  readonly logs: string[] = [];
  /** Netns path to inode; a path that is not there is gone. */
  readonly namespaces = new Map<string, string>();
  /** Netns paths that hold rules. */
  readonly ruled = new Set<string>();
  /** Indices that listen, to their netns path. */
  readonly listening = new Map<number, string>();
  readonly probed = new Set<string>();
  inCharge = true;
  readonly annotations = new Map<string, Record<string, string>>();
  identity: (pod: PodReference) => Promise<Result<PodIdentity>> = (pod) =>
    Promise.resolve(
      success({
        uid: pod.uid ?? `uid-${pod.name}`,
        serviceAccount: 'sa',
        annotations: this.annotations.get(pod.name) ?? {},
      }),
    );
  listen: (index: number) => Promise<Result<void>> = () => Promise.resolve(done);
  rules: () => Promise<Result<AppliedRules>> = () => Promise.resolve(success({ backend: 'fake', ipv6Skipped: null }));
  probes: () => Promise<Result<void>> = () => Promise.resolve(done);

  make(options: Partial<EnrolmentOptions> = {}): Enrolment {
    return new Enrolment({ stateDir: this.stateDir, excludeNamespaces: ['kube-system'], ...options }, this.deps);
  }

  close(): void {
    rmSync(this.stateDir, { recursive: true });
  }

  get deps(): EnrolmentDeps {
    return {
      identityOf: (pod) => {
        this.calls.push(`identity ${pod.name}`);
        return this.identity(pod);
      },
      listen: async (index, pod, netnsPath) => {
        this.calls.push(`listen ${index} ${pod.name}`);
        const result = await this.listen(index);
        if (result.ok) this.listening.set(index, netnsPath);
        return result;
      },
      unlisten: (index) => {
        this.calls.push(`unlisten ${index}`);
        this.listening.delete(index);
        return Promise.resolve();
      },
      inCharge: () => this.inCharge,
      readiness: () => done,
      podRules: {
        inode: (path) => {
          const inode = this.namespaces.get(path);
          return inode === undefined ? failure('NETNS_UNUSABLE', `${path} is gone`) : success(inode);
        },
        apply: async (path, _pod, annotations) => {
          const mode = annotations['weir.dev/interception-mode'];
          this.calls.push(`apply ${path}${mode === undefined ? '' : ` ${mode}`}`);
          const result = await this.rules();
          if (result.ok) this.ruled.add(path);
          return result;
        },
        remove: (path) => {
          this.calls.push(`remove ${path}`);
          this.ruled.delete(path);
          return Promise.resolve(done);
        },
        missing: (path) => {
          const listens = [...this.listening.values()].includes(path);
          const lines = [
            ...(this.ruled.has(path) ? [] : ['IPv4: rules']),
            ...(listens ? [] : ['IPv4: no listener on port 15001']),
          ];
          return Promise.resolve(success(lines));
        },
      },
      probeRules: {
        add: async (addresses) => {
          this.calls.push(`probes + ${addresses.join()}`);
          const result = await this.probes();
          if (result.ok) for (const address of addresses) this.probed.add(address);
          return result;
        },
        remove: (addresses) => {
          for (const address of addresses) this.probed.delete(address);
          return Promise.resolve(done);
        },
        reconcile: (addresses) => {
          this.probed.clear();
          for (const address of addresses) this.probed.add(address);
          return Promise.resolve(done);
        },
      },
      log: (level, message) => this.logs.push(`${level}: ${message}`),
      now: () => 1_000,
    };
  }

  /** A pod with its namespace there. */
  request(name: string, ip: string, changes: Partial<AddRequest> = {}): AddRequest {
    const netnsPath = `/run/netns/${name}`;
    if (!this.namespaces.has(netnsPath)) this.namespaces.set(netnsPath, `${4_026_000_000 + this.namespaces.size}`);
    return {
      containerId: `container-${name}`,
      netnsPath,
      ifName: 'eth0',
      pod: { namespace: 'default', name, uid: `uid-${name}` },
      ips: [ip],
      ...changes,
    };
  }

  /** The state folder becomes a file: nothing can be written in it, whoever one is. */
  spoilStateDir(): void {
    rmSync(this.stateDir, { recursive: true });
    writeFileSync(this.stateDir, '');
  }

  mendStateDir(): void {
    if (statSync(this.stateDir).isDirectory()) return;
    rmSync(this.stateDir);
    mkdirSync(this.stateDir);
  }

  /** What is left of anything; empty after a complete rollback. */
  left(): readonly string[] {
    return [...this.ruled, ...[...this.listening.keys()].map((index) => `listener ${index}`), ...this.probed];
  }
}
