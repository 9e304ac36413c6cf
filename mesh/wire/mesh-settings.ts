/** weir.mesh.v1.MeshSettings: the model's MeshSettings on the wire. */
import type { MeshSettings } from '../model.ts';
import type { WireCheck, WireMessage } from './check.ts';
import { meshSettingsType } from './schema-root.ts';

/** Bytes of a weir.mesh.v1.MeshSettings. */
export function encodeMeshSettings(settings: MeshSettings): Uint8Array {
  const { namespace, name, metrics, accessLog, bypass } = settings;
  return meshSettingsType.encode({ namespace, name, metrics, accessLog, bypass }).finish();
}

/** Reads a decoded weir.mesh.v1.MeshSettings; what is wrong with it goes to `check`. */
export function readMeshSettings(wire: WireMessage, check: WireCheck): MeshSettings {
  return {
    kind: 'meshSettings',
    namespace: check.namespace(wire['namespace'], 'namespace'),
    name: check.objectName(wire['name'], 'name'),
    metrics: check.flag(wire['metrics'], 'metrics'),
    accessLog: check.flag(wire['accessLog'], 'access_log'),
    bypass: check.flag(wire['bypass'], 'bypass'),
  };
}
