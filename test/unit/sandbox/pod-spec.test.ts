import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pod, workload } from './objects.ts';

function commandLine(container: string): readonly string[] | undefined {
  const { set, problems } = workload(pod(container));
  assert.deepEqual(problems, [], container);
  return set?.spec.containers[0]?.commandLine;
}

test('what runs: command replaces the mapped image, args follow either', () => {
  assert.deepEqual(commandLine('{name: c, image: echo}'), ['node', 'echo.js']);
  assert.deepEqual(commandLine('{name: c, image: "echo:1.2"}'), ['node', 'echo.js']);
  assert.deepEqual(commandLine('{name: c, image: "echo@sha256:00"}'), ['node', 'echo.js']);
  assert.deepEqual(commandLine('{name: c, image: "registry:5000/team/app:2"}'), ['app', '--two']);
  assert.deepEqual(commandLine('{name: c, image: echo, args: [-v]}'), ['node', 'echo.js', '-v']);
  assert.deepEqual(commandLine('{name: c, image: echo, command: [sh, -c], args: [exit]}'), ['sh', '-c', 'exit']);
  assert.deepEqual(commandLine('{name: c, image: unknown, command: [sh]}'), ['sh']);
});

test('what cannot run is refused with the field and what to write', () => {
  const table: [string, string, string, RegExp][] = [
    ['{name: c, image: shop}', '', 'spec.containers[0].image', /does not know the image shop.*--image 'shop=COMMAND'/],
    ['{name: c, image: "registry:5000/team/app:3"}', '', 'spec.containers[0].image', /does not know the image/],
    ['{name: c, image: x, command: [missing]}', '', 'spec.containers[0].command', /missing is not an executable/],
    ['{name: c}', '', 'spec.containers[0].image', /missing/],
    ['{image: echo}', '', 'spec.containers[0].name', /missing/],
    ['{name: C, image: echo}', '', 'spec.containers[0].name', /not a container name/],
    ['{name: c, image: echo}, {name: c, image: echo}', '', 'spec.containers', /two containers are named c/],
    ['{name: c, image: echo, args: [80]}', '', 'spec.containers[0].args[0]', /must be a string, not 80.*quote it/],
    ['{name: c, image: echo}', 'nodeName: node-7', 'spec.nodeName', /no node node-7.*node-0, node-1/],
    ['{name: c, image: echo}', 'hostNetwork: true', 'spec.hostNetwork', /not supported/],
    ['{name: c, image: echo}', 'restartPolicy: Sometimes', 'spec.restartPolicy', /Always, OnFailure or Never/],
    ['{name: c, image: echo}', 'nodeSelector: {zone: a}', 'spec.nodeSelector.zone', /no such label/],
    [
      '{name: c, image: echo, readinessProbe: {grpc: {port: 1}}}',
      '',
      'spec.containers[0].readinessProbe.grpc',
      /gRPC.*tcpSocket/,
    ],
    [
      '{name: c, image: echo, readinessProbe: {}}',
      '',
      'spec.containers[0].readinessProbe',
      /httpGet, tcpSocket or exec/,
    ],
    [
      '{name: c, image: echo, livenessProbe: {tcpSocket: {port: web}}}',
      '',
      'spec.containers[0].livenessProbe.tcpSocket.port',
      /no port.*named web/,
    ],
    [
      '{name: c, image: echo, env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.phase}}}]}',
      '',
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath',
      /not supported; use one of/,
    ],
    [
      '{name: c, image: echo, env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}',
      '',
      'spec.containers[0].env[0].valueFrom',
      /use fieldRef/,
    ],
  ];
  for (const [container, spec, field, message] of table) {
    const { problems } = workload(pod(container, spec));
    assert.deepEqual(
      problems.map((problem) => problem.field),
      [field],
      container,
    );
    assert.match(`${problems[0]?.reason}; ${problems[0]?.remedy}`, message, container);
    assert.equal(problems[0]?.file, 'f.yaml');
  }
});

test('all problems of a pod are told at once', () => {
  const { problems } = workload(pod('{name: c, image: shop}, {name: d, image: shop}', 'nodeName: x'));
  assert.equal(problems.length, 3);
});

test('probes: Kubernetes defaults, named ports, path made absolute', () => {
  const probe = 'readinessProbe: {httpGet: {port: web, path: ready}}, ports: [{name: web, containerPort: 8080}]';
  const { set, problems } = workload(pod(`{name: c, image: echo, ${probe}}`));
  assert.deepEqual(problems, []);
  assert.deepEqual(set?.spec.containers[0]?.readinessProbe, {
    action: { type: 'http', port: 8080, path: '/ready', scheme: 'http', host: null, headers: [] },
    initialDelaySeconds: 0,
    periodSeconds: 10,
    timeoutSeconds: 1,
    failureThreshold: 3,
    successThreshold: 1,
  });
});

test('node: nodeName, or the host name label', () => {
  assert.equal(workload(pod('{name: c, image: echo}', 'nodeName: node-1')).set?.spec.node, 'node-1');
  const selector = 'nodeSelector: {kubernetes.io/hostname: node-0}';
  assert.equal(workload(pod('{name: c, image: echo}', selector)).set?.spec.node, 'node-0');
  assert.equal(workload(pod('{name: c, image: echo}')).set?.spec.node, null);
});
