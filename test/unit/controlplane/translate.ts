/** YAML in, mesh and findings out: the controller's pipeline without files, sockets or agents. */
import assert from 'node:assert/strict';
import { MeshLinker } from '../../../controlplane/config/linker.ts';
import { type FileChange, ObjectStore } from '../../../controlplane/config/object-store.ts';
import { compareFindings, type Finding } from '../../../controlplane/finding.ts';
import { parseYaml } from '../../../controlplane/sources/yaml-document.ts';
import { routeStatuses } from '../../../controlplane/status/route-status.ts';
import { keyOf, type MeshKind, type MeshResource } from '../../../mesh/model.ts';
import type { RouteStatus } from '../../../mesh/route-status.ts';
import { validateResource } from '../../../mesh/validate.ts';

/** What happened to a file, from its text; null: it is gone. */
function fileChange(file: string, text: string | null): FileChange {
  if (text === null) return { type: 'gone', file };
  const parsed = parseYaml(text, file);
  if (parsed.ok) return { type: 'parsed', file, documents: parsed.documents };
  return { type: 'broken', file, problem: parsed.problem };
}

export class Translation {
  readonly #store = new ObjectStore({ rootNamespace: 'istio-system' });
  readonly #linker = new MeshLinker('istio-system');
  readonly #mesh = new Map<string, MeshResource>();

  /** Everything translated is fit for an agent, always. */
  change(files: Readonly<Record<string, string | null>>): this {
    const changes = Object.entries(files).map(([file, text]) => fileChange(file, text));
    const link = this.#linker.update(this.#store.apply(changes));
    for (const resource of link.upserts) {
      assert.equal(validateResource(resource), null);
      const { kind, key } = keyOf(resource);
      this.#mesh.set(`${kind} ${key}`, resource);
    }
    for (const { kind, key } of link.removals) this.#mesh.delete(`${kind} ${key}`);
    return this;
  }

  get mesh(): MeshResource[] {
    return [...this.#mesh].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, resource]) => resource);
  }

  of<K extends MeshKind>(kind: K): Extract<MeshResource, { kind: K }>[] {
    return this.mesh.filter((resource): resource is Extract<MeshResource, { kind: K }> => resource.kind === kind);
  }

  get routeStatuses(): RouteStatus[] {
    return routeStatuses(this.#store.accepted.values(), this.#store.refusedObjects(), this.#linker.view);
  }

  get findings(): Finding[] {
    return [...this.#store.findings(), ...this.#linker.findings()].sort(compareFindings);
  }
}

/** Translates one file `f.yaml`. */
export function translate(text: string): Translation {
  return new Translation().change({ 'f.yaml': text });
}
