/**
 * What is probably not meant in a valid mesh: rules that never match, policies that select nothing, routes that contradict one
 * another. Pure; what is invalid in itself was refused before it got here. Used by `weir analyze`.
 */
import { analyzePolicies } from './analyze-policies.ts';
import { analyzeRoutes } from './analyze-routes.ts';
import type { MeshState } from './state.ts';

/** Stable codes of what can be found. */
export type AnalysisCode =
  | 'SELECTS_NOTHING'
  | 'DENIES_EVERYTHING'
  | 'HTTP_RULE_ON_TCP_PORT'
  | 'RULE_NEVER_MATCHES'
  | 'SHADOWED_RULE'
  | 'CONFLICTING_ROUTES'
  | 'WEIGHTS'
  | 'NO_ENDPOINTS';

/** One finding about a field of a Kubernetes object. */
export interface AnalysisFinding {
  readonly code: AnalysisCode;
  /** The Kubernetes kind. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Path in the Kubernetes object, e.g. ['spec', 'http', 0]. */
  readonly path: readonly (string | number)[];
  readonly reason: string;
  readonly remedy: string;
}

/** Everything that is found, by kind of check. */
export function analyze(mesh: MeshState): readonly AnalysisFinding[] {
  return [...analyzePolicies(mesh), ...analyzeRoutes(mesh)];
}
