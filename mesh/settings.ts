/** What holds for the whole mesh when nobody has said otherwise, and what follows from settings and an agent's own flags. */
import type { MeshSettings } from './model.ts';

/** Everything is measured, nothing bypasses the agent, and whatever the mesh does not know may be reached. The name is the one that Istio gives the ConfigMap. */
export const DEFAULT_SETTINGS: MeshSettings = {
  kind: 'meshSettings',
  namespace: 'istio-system',
  name: 'istio',
  metrics: true,
  accessLog: true,
  bypass: false,
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  pathNormalization: 'BASE',
  outboundTrafficPolicy: 'ALLOW_ANY',
};

/** `all` is somebody's explicit wish on this node and stands; `errors`, the default, yields to the mesh. */
export function effectiveAccessLog(
  settings: MeshSettings,
  agentMode: 'off' | 'errors' | 'all',
): 'off' | 'errors' | 'all' {
  return settings.accessLog || agentMode === 'all' ? agentMode : 'off';
}
