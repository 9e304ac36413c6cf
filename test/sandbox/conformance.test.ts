/** The Gateway API's mesh conformance cases, all of them, through a real sandbox (scripts/conformance). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { corpusFolder } from '../../scripts/conformance/corpus.ts';
import type { ConformanceReport } from '../../scripts/conformance/report.ts';

const MAIN = fileURLToPath(new URL('../../scripts/conformance/main.ts', import.meta.url));
/** What weir claims to support; a feature that no case asks for any more is a failure too. */
const FEATURES = [
  'GRPCRoute',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteParentRefPort',
  'HTTPRouteResponseHeaderModification',
  'Mesh',
  'MeshClusterIPMatching',
  'MeshConsumerRoute',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
];

test('every mesh conformance case of the Gateway API passes, rewritten paths and hosts included', (context) => {
  try {
    corpusFolder(undefined);
  } catch (error) {
    // Nothing is skipped where it counts.
    if (process.env['CI'] === 'true') throw error;
    context.skip((error as Error).message);
    return;
  }
  const words = ['--import', 'tsx', MAIN, '-o', 'json'];
  const run = spawnSync(process.execPath, words, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  assert.ok(run.status === 0 || run.status === 1, run.stdout + run.stderr);
  const report = JSON.parse(run.stdout) as ConformanceReport;
  const failures = report.tests.flatMap(({ name, cases }) =>
    cases.filter(({ differences }) => differences.length > 0).map((each) => ({ test: name, ...each })),
  );
  assert.deepEqual(failures, []);
  assert.deepEqual(
    report.features.map(({ feature }) => feature),
    FEATURES,
  );
  assert.equal(run.status, 0, run.stderr);
});
