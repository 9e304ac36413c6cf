import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataLookup, type DesiredState, evaluate } from '../../../sandbox/desired-state.ts';
import { ServiceAddresses } from '../../../sandbox/services.ts';
import { keyOfObject, ProblemsError } from '../../../sandbox/source.ts';
import { CONTEXT, objects } from './objects.ts';

function state(text: string): { state: DesiredState; warnings: string[] } {
  const warnings: string[] = [];
  const context = { ...CONTEXT, warn: (message: string) => warnings.push(message) };
  const all = new Map(objects(text).map((object) => [keyOfObject(object), object]));
  return { state: evaluate(all, context, new ServiceAddresses()), warnings };
}

const ROUTE =
  'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\nspec: {} # as written\n';

test('what the sandbox does not know goes to the controller as it was written, with its line', () => {
  const file = state(`# one line\n---\n${ROUTE}`).state.files.find(({ name }) => name.startsWith('httproute'));
  assert.deepEqual(file, {
    name: 'httproute.gateway.networking.k8s.io.shop.r',
    file: 'f.yaml',
    line: 3,
    text: ROUTE,
  });
});

test('ConfigMaps and Secrets stay in the sandbox and are found by name, decoded', () => {
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "1"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: aGVsbG8=}\nstringData: {b: plain}\n`;
  const found = state(text).state;
  assert.deepEqual(found.files.map(({ name }) => name).sort(), ['namespace.default', 'serviceaccount.default.default']);
  const lookup = dataLookup(found, 'default');
  assert.deepEqual(lookup('ConfigMap', 'c'), { a: '1' });
  assert.deepEqual(lookup('Secret', 's'), { a: 'hello', b: 'plain' });
  assert.equal(lookup('Secret', 'c'), null);
  assert.equal(dataLookup(found, 'shop')('ConfigMap', 'c'), null);
});

test('namespaces and ServiceAccounts that are used are made; a named account that is not given is warned about', () => {
  const text = `apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {serviceAccountName: robot, containers: [{name: c, image: echo}]}\n`;
  const { state: found, warnings } = state(text);
  assert.deepEqual(found.files.map(({ name }) => name).sort(), [
    'namespace.default',
    'namespace.shop',
    'serviceaccount.default.default',
    'serviceaccount.shop.default',
    'serviceaccount.shop.robot',
  ]);
  assert.match(warnings.join('\n'), /^f\.yaml:1: shop\/p uses ServiceAccount robot, which is not given/);
});

test('workloads that the sandbox does not run are warned about', () => {
  const { warnings } = state('apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {}\n');
  assert.match(warnings.join('\n'), /StatefulSet default\/db: the sandbox runs Pods and Deployments/);
});

test('everything that cannot run is told at once', () => {
  const pod = (name: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec: {containers: [{name: c, image: nope}]}\n`;
  const service =
    'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: 1.2.3.4, ports: [{port: 80}]}\n';
  assert.throws(
    () => state([pod('a'), pod('b'), service].join('---\n')),
    (error) => error instanceof ProblemsError && error.problems.length === 3,
  );
});
