/** Whether `weir explain` said what the agents did with a request. */
import { type Decision, explain, refusedQuestion } from '../../../mesh/explain.ts';
import { questionOf } from '../../../mesh/explain-ask.ts';
import { type ExplainRequest, readExplainRequest } from '../../../mesh/explain-request.ts';
import { hostWithoutPort } from '../../../mesh/plain-request.ts';
import type { MeshState } from '../../../mesh/state.ts';
import type { Answer } from './pod-socket.ts';
import type { RandomRequest } from './requests.ts';

/** What explain says. A client's identity is proven on the node of the workload only, so on another node there is none. */
export function explained(mesh: MeshState, request: RandomRequest): Decision {
  const { client, service, port, method, target, host, headers } = request;
  const asked = {
    from: `${client.name}.${client.namespace}`,
    to: `${service.name}.${service.namespace}:${port}`,
    method,
    path: target,
    host,
    headers,
    tcp: false,
    sni: '',
  };
  const question = questionOf(mesh, asked, 'random');
  if (!question.ok) return refusedQuestion('random', question.error);
  const http = question.request.http === null ? null : { ...question.request.http, host };
  const known: ExplainRequest = { ...question.request, http };
  const first = explain(mesh, known);
  const node = podsOf(mesh, first.backend)[0]?.node;
  if (node === undefined || node === client.node) return first;
  return explain(mesh, {
    ...known,
    source: { ...known.source, identity: null },
    connection: { ...known.connection, tls: 'none' },
  });
}

/** Differences as lines for people; empty: explain said what happened. */
export function disagreements(mesh: MeshState, request: RandomRequest, decision: Decision, answer: Answer): string[] {
  const found: string[] = [];
  if (decision.error !== null) return [`explain could not read it: ${decision.error}`];
  if (answer.status !== decision.status && !isResetFromAfar(mesh, request, decision, answer)) {
    found.push(`status ${answer.status ?? answer.error}, explained ${decision.status}`);
  }
  const forwards = decision.verdict === 'allow' && decision.status === 200 && !decision.because.startsWith('CORS');
  if (forwards !== (answer.seen !== null)) {
    found.push(answer.seen === null ? 'the workload was not reached' : `${answer.seen.pod} was reached`);
  }
  const told = / redirected to (\S+)/.exec(` ${decision.because}`)?.[1] ?? null;
  if (told !== answer.location) found.push(`location ${answer.location}, explained ${told}`);
  if (answer.seen === null || !forwards) return found;
  const { pod, lines } = answer.seen;
  if (!podsOf(mesh, decision.backend).some((each) => each.workloadName === pod)) {
    found.push(`${pod} was reached, explained ${decision.backend}`);
  }
  const [, target = ''] = (lines[0] ?? '').split(' ');
  if (target !== decision.path) found.push(`forwarded path ${target}, explained ${decision.path}`);
  const host = valuesOf(lines, 'host').join('|');
  if (hostWithoutPort(host) !== decision.host) found.push(`forwarded host ${host}, explained ${decision.host}`);
  for (const [name, value] of Object.entries(decision.headers.set)) {
    const got = valuesOf(lines, name).join(', ');
    if (got !== value) found.push(`forwarded ${name}: ${got}, explained ${value}`);
  }
  for (const name of decision.headers.remove) {
    if (valuesOf(lines, name).length > 0) found.push(`${name} was forwarded, explained as removed`);
  }
  return found;
}

/**
 * Ingress is refused by the agent of the workload's node, which resets: on another node that shows as 503 or, when the request was already
 * under way, as 502.
 */
function isResetFromAfar(
  mesh: MeshState,
  { client }: RandomRequest,
  decision: Decision,
  { status, reason }: Answer,
): boolean {
  if (status !== 502 || reason !== 'UPSTREAM_RESET' || decision.status !== 503) return false;
  const isNetworkPolicy = /no ingress rule of NetworkPolicy/.test(decision.because);
  return isNetworkPolicy && podsOf(mesh, decision.backend).some(({ node }) => node !== client.node);
}

/**
 * The same question in the form of JSON lines, which name the workload reached instead of leaving it to the route: it must have the same
 * answer. Only where the Service that was dialled is the one that answers, since lines cannot say otherwise.
 */
export function disagreementOfLines(mesh: MeshState, request: RandomRequest, decision: Decision): string[] {
  const { client, service, port, method, target, host, headers } = request;
  const dialled = `${service.namespace}/${service.name}`;
  const workload = podsOf(mesh, dialled)[0];
  if (workload === undefined || decision.backend !== `${dialled}:${port}`) return [];
  // A line that names a workload supposes that one is there: it has nothing to say of a subset without pods.
  if (decision.because.startsWith('503: no endpoint')) return [];
  const near = workload.node === client.node;
  const account = { namespace: client.namespace, serviceAccount: client.name };
  const line = {
    id: 'random',
    source: {
      principal: near ? `spiffe://cluster.local/ns/${client.namespace}/sa/${client.name}` : null,
      ...account,
      ip: mesh.workloadByName(`${client.namespace}/${client.name}`)?.addresses[0],
    },
    destination: {
      namespace: workload.namespace,
      labels: workload.labels,
      ip: workload.addresses[0],
      port: workload.services[dialled]?.find(({ servicePort }) => servicePort === port)?.targetPort,
      serviceHost: `${service.name}.${service.namespace}.svc.cluster.local`,
    },
    connection: { protocol: 'http', tls: near ? 'mtls' : 'none', sni: null },
    http: { method, path: target, host, headers, jwt: null },
  };
  const question = readExplainRequest(JSON.parse(JSON.stringify(line)));
  if (!question.ok) return [`as a JSON line: ${question.error}`];
  const { hints: _hints, ...lines } = explain(mesh, question.request);
  const { hints: _same, ...asked } = decision;
  return JSON.stringify(lines) === JSON.stringify(asked)
    ? []
    : [`as a JSON line: ${JSON.stringify(lines)}, asked: ${JSON.stringify(asked)}`];
}

function valuesOf(lines: readonly string[], name: string): string[] {
  return lines
    .slice(1)
    .filter((line) => line.toLowerCase().startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).trim());
}

/** The pods behind `namespace/name:port`. */
function podsOf(mesh: MeshState, backend: string | null): ReturnType<typeof mesh.list<'workload'>> {
  const service = backend?.replace(/:\d+$/, '') ?? '';
  return mesh.list('workload').filter(({ services }) => services[service] !== undefined);
}
