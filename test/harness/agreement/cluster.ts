/**
 * The little cluster of test/sandbox/explain-agrees.test.ts: two namespaces on two nodes, clients with identities of their own, servers
 * that tell the octets they were sent.
 */

export interface ClientPod {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
}

export const CLIENTS: readonly ClientPod[] = [
  { name: 'alice', namespace: 'shop', node: 'node-0' },
  { name: 'bob', namespace: 'shop', node: 'node-0' },
  { name: 'carol', namespace: 'bank', node: 'node-0' },
  { name: 'dave', namespace: 'bank', node: 'node-1' },
];

/** Services by namespace; each has port 80 (to 8080) and 81 (to 8081). `empty` has no pod. */
export const SERVICES: readonly { readonly namespace: string; readonly name: string; readonly selector: string }[] = [
  { namespace: 'shop', name: 'web', selector: '{app: web}' },
  { namespace: 'shop', name: 'web-v1', selector: '{app: web, version: v1}' },
  { namespace: 'shop', name: 'web-v2', selector: '{app: web, version: v2}' },
  { namespace: 'shop', name: 'empty', selector: '{app: nothing}' },
  { namespace: 'bank', name: 'vault', selector: '{app: vault}' },
];

const SERVERS = [
  { namespace: 'shop', name: 'web-one', labels: '{app: web, version: v1}', node: 'node-0' },
  { namespace: 'shop', name: 'web-two', labels: '{app: web, version: v2}', node: 'node-0' },
  { namespace: 'bank', name: 'vault', labels: '{app: vault}', node: 'node-1' },
];

const account = (namespace: string, name: string): string =>
  `apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ${name}, namespace: ${namespace}}\n---\n`;

const client = ({ name, namespace, node }: ClientPod): string => `${account(namespace, name)}apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name}}}
spec:
  serviceAccountName: ${name}
  nodeName: ${node}
  containers: [{name: c, image: idle, command: [sleep, infinity]}]
---
`;

const server = ({ name, namespace, labels, node }: (typeof SERVERS)[number]): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: ${labels}}
spec:
  nodeName: ${node}
  containers:
  - name: c
    image: raw-server
    ports: [{name: web, containerPort: 8080}, {name: alt, containerPort: 8081}]
    readinessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
---
`;

const service = ({ name, namespace, selector }: (typeof SERVICES)[number]): string => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: ${selector}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: http-alt, port: 81, targetPort: 8081}]
---
`;

const NAMESPACES = ['shop', 'bank']
  .map((name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${name}}}\n---\n`)
  .join('');

/** Everything, as YAML. */
export const CLUSTER_YAML = [NAMESPACES, ...CLIENTS.map(client), ...SERVERS.map(server), ...SERVICES.map(service)].join(
  '',
);
