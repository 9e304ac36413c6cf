import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem, keyOfObject, ProblemsError, readObjects } from '../../../sandbox/source.ts';

function problemsOf(text: string): string[] {
  try {
    readObjects([{ path: 'f.yaml', text }]);
  } catch (error) {
    assert.ok(error instanceof ProblemsError, String(error));
    return error.problems.map(formatProblem);
  }
  return [];
}

const TWO_DOCUMENTS = `# a comment
---
apiVersion: v1
kind: Service
metadata:
  name: echo
---

# another
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  containers:
  - name: c
    image: busybox
`;

test('documents keep the line they start on, the default namespace, and their own text verbatim', () => {
  const [service, pod] = readObjects([{ path: 'f.yaml', text: TWO_DOCUMENTS }]);
  assert.equal(service?.line, 3);
  assert.equal(service?.namespace, 'default');
  assert.equal(service?.text, 'apiVersion: v1\nkind: Service\nmetadata:\n  name: echo\n');
  assert.equal(pod?.line, 10);
  assert.equal(pod?.namespace, 'shop');
  assert.equal(pod?.lineOf(['spec', 'containers', 0, 'image']), 16);
});

test('the line of a field that is not written is that of its nearest ancestor', () => {
  const [, pod] = readObjects([{ path: 'f.yaml', text: TWO_DOCUMENTS }]);
  assert.equal(pod?.lineOf(['spec', 'containers', 0, 'ports', 3]), 15);
  assert.equal(pod?.lineOf(['status']), 10);
});

test('items of a List are objects with lines of their own', () => {
  const text =
    'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: b}\n';
  const objects = readObjects([{ path: 'f.yaml', text }]);
  assert.deepEqual(
    objects.map(({ kind, namespace, name, line }) => [kind, namespace, name, line]),
    [
      ['Namespace', null, 'a', 4],
      ['Namespace', null, 'b', 7],
    ],
  );
});

test('JSON is YAML; empty documents and comments are nothing', () => {
  const text = '---\n# nothing\n---\n{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}\n---\n';
  assert.deepEqual(
    readObjects([{ path: 'f.json', text }]).map(({ name, line }) => [name, line]),
    [['p', 4]],
  );
  assert.deepEqual(readObjects([{ path: 'empty.yaml', text: '' }]), []);
});

test('every refusal names file and line', () => {
  const table: [string, RegExp][] = [
    ['a: [1\n', /^f\.yaml:2: not valid YAML: /],
    [
      'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nmetadata: {name: q}\n',
      /^f\.yaml:4: not valid YAML: Map keys must be unique/,
    ],
    ['- a\n- b\n', /^f\.yaml:1: not a Kubernetes object/],
    ['kind: Pod\nmetadata: {name: p}\n', /^f\.yaml:1: apiVersion: missing/],
    ['apiVersion: v1\nmetadata: {name: p}\n', /^f\.yaml:1: kind: missing/],
    ['apiVersion: v1\nkind: ../x\nmetadata: {name: p}\n', /^f\.yaml:2: kind: missing/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {}\n', /^f\.yaml:3: Pod: metadata\.name: missing/],
    [
      'apiVersion: v1\nkind: Pod\nmetadata:\n  name: ../../etc\n',
      /^f\.yaml:4: Pod: metadata\.name: "..\/..\/etc" is not a name/,
    ],
    [
      'apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: "A B"}\n',
      /^f\.yaml:3: Pod: metadata\.namespace: "A B" is not a namespace/,
    ],
    ['a: *nowhere\n', /^f\.yaml:1: not valid YAML: /],
  ];
  for (const [text, expected] of table) assert.match(problemsOf(text)[0] ?? 'accepted', expected, text);
});

test('the same object twice names both places', () => {
  const object = 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n';
  assert.deepEqual(problemsOf(`${object}---\n${object}`), [
    'f.yaml:5: Pod default/p: metadata.name: the same object is given twice, first at f.yaml:1; remove one of them or rename it',
  ]);
});

test('versions of one API group are the same object, groups are not', () => {
  const key = (apiVersion: string): string => keyOfObject({ apiVersion, kind: 'Gateway', namespace: 'a', name: 'b' });
  assert.equal(key('networking.istio.io/v1'), key('networking.istio.io/v1beta1'));
  assert.notEqual(key('networking.istio.io/v1'), key('gateway.networking.k8s.io/v1'));
});

test('a text that nests without end is refused with its line, instead of ending the process', () => {
  const problems = problemsOf(`apiVersion: v1\nkind: Pod\nspec: ${'['.repeat(200_000)}`);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /f\.yaml:3.*more than 64 levels deep.*flatten/);
});
