/** A small mesh in YAML, and short ways to ask what became of a VirtualService in it. */
import type { HttpRoute, HttpRouteMatch, HttpRouteRule } from '../../../../mesh/route-model.ts';
import { formatFinding } from '../../../../controlplane/finding.ts';
import { type Translation, translate } from '../translate.ts';

/** Services of bookinfo and httpbin in `default`, the second version of httpbin's in `prod`. */
export const SERVICES = `apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: ratings}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin}
spec: {clusterIP: 10.96.0.3, ports: [{name: http, port: 8000}, {name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: prod}
spec: {clusterIP: 10.96.0.4, ports: [{name: http, port: 9080}]}
`;

/** The subsets v1, v2 and v3 of reviews, by their label version. */
export const SUBSETS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
    - {name: v3, labels: {version: v3}}
`;

/** An object of networking.istio.io from its kind, metadata and spec (YAML, indented by two spaces at least). */
export function object(kind: string, metadata: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: ${metadata}\nspec:\n${spec}\n`;
}

/** Translates documents together. */
export function mesh(...documents: readonly string[]): Translation {
  return translate(documents.join('---\n'));
}

/** Findings without file and line. */
export function said(translation: Translation): string[] {
  return translation.findings.map((finding) => formatFinding(finding).replace(/^f\.yaml:\d+: /, ''));
}

/** The only route of a kind. */
export function httpRoute(translation: Translation): HttpRoute {
  const [route, second] = translation.of('httpRoute');
  if (route === undefined || second !== undefined) throw new Error('there must be one httpRoute');
  return route;
}

/** The rules of a VirtualService for reviews whose `http` is this (indented by four spaces). */
export function rulesOf(http: string): readonly HttpRouteRule[] {
  const translation = mesh(
    SERVICES,
    SUBSETS,
    object('VirtualService', '{name: r}', `  hosts: [reviews]\n  http:\n${http}`),
  );
  const errors = translation.findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(formatFinding).join('\n'));
  return httpRoute(translation).rules;
}

/** A match of every request, with what is given in its place. */
export function match(given: Partial<HttpRouteMatch>): HttpRouteMatch {
  return {
    path: null,
    method: null,
    headers: [],
    queryParams: [],
    scheme: null,
    authority: null,
    port: null,
    client: null,
    ...given,
  };
}

/** `namespace/name:port subset × weight`, `!` before what leads nowhere. */
export function shown(rule: Pick<HttpRouteRule, 'backends'>): string[] {
  return rule.backends.map(({ namespace, name, port, subset, weight, valid }) => {
    const part = subset === null ? '' : ` ${subset.name}`;
    return `${valid ? '' : '!'}${namespace}/${name}:${port}${part} × ${weight}`;
  });
}
