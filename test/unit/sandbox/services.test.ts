import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selects, ServiceAddresses, type ServiceEntry } from '../../../sandbox/services.ts';
import { serviceRules } from '../../../sandbox/service-rules.ts';
import { formatProblem, isFields, type Problem } from '../../../sandbox/source.ts';
import { objects } from './objects.ts';

function service(name: string, spec = ''): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: a}, ports: [{port: 80, targetPort: web}]${spec}}\n`;
}

function assign(addresses: ServiceAddresses, ...texts: string[]): { entries: ServiceEntry[]; problems: string[] } {
  const problems: Problem[] = [];
  const entries = addresses.assign(objects(texts.join('---\n')), problems);
  return { entries, problems: problems.map(formatProblem) };
}

test('ClusterIPs: dual stack, none twice, the same again after delete and apply', () => {
  const addresses = new ServiceAddresses();
  const first = assign(addresses, service('a'), service('b')).entries;
  assert.deepEqual(
    first.map(({ clusterIps }) => clusterIps),
    [
      ['10.96.0.10', 'fd00:10:96::a'],
      ['10.96.0.11', 'fd00:10:96::b'],
    ],
  );
  assert.deepEqual(assign(addresses, service('b')).entries[0]?.clusterIps, ['10.96.0.11', 'fd00:10:96::b']);
  assert.deepEqual(
    assign(addresses, service('c'), service('a')).entries.map(({ clusterIps }) => clusterIps[0]),
    ['10.96.0.12', '10.96.0.10'],
  );
});

test('ClusterIPs: what is written is honoured, and not given to another', () => {
  const addresses = new ServiceAddresses();
  const { entries, problems } = assign(
    addresses,
    service('free'),
    service('one', ', clusterIP: 10.96.0.10'),
    service('both', ', clusterIPs: [10.96.9.9, "fd00:10:96::99"]'),
    service('single', ', ipFamilyPolicy: SingleStack'),
    service('six', ', ipFamilyPolicy: SingleStack, ipFamilies: [IPv6]'),
    service('headless', ', clusterIP: None'),
  );
  assert.deepEqual(problems, []);
  const found = Object.fromEntries(entries.map(({ name, clusterIps }) => [name, clusterIps]));
  assert.deepEqual(found['one']?.[0], '10.96.0.10');
  assert.notEqual(found['free']?.[0], '10.96.0.10');
  assert.deepEqual(found['both'], ['10.96.9.9', 'fd00:10:96::99']);
  assert.deepEqual(found['single']?.length, 1);
  assert.match(found['six']?.[0] ?? '', /^fd00:10:96::/);
  assert.deepEqual(found['headless'], []);
  assert.equal(new Set(Object.values(found).flat()).size, Object.values(found).flat().length);
});

test('ExternalName: no addresses, no pods, and the object goes on to the controller as it is', () => {
  const { entries, problems } = assign(
    new ServiceAddresses(),
    service('a', ', type: ExternalName, externalName: db.x'),
  );
  assert.deepEqual(problems, []);
  const [entry] = entries;
  assert.deepEqual([entry?.clusterIps, entry?.selector, entry?.externalName], [[], null, 'db.x']);
  const spec = isFields(entry?.object['spec']) ? entry.object['spec'] : {};
  assert.deepEqual([spec['clusterIP'], spec['externalName']], [undefined, 'db.x']);
  const missing = assign(new ServiceAddresses(), service('a', ', type: ExternalName'));
  assert.match(missing.problems[0] ?? '', /spec\.externalName: missing/);
});

test('ClusterIPs: conflicts and foreign addresses are refused with the line', () => {
  const { problems } = assign(
    new ServiceAddresses(),
    service('a', ', clusterIP: 10.96.0.20'),
    service('b', ', clusterIP: 10.96.0.20'),
    service('c', ', clusterIP: 192.0.2.1'),
    service('d', ', clusterIP: nonsense'),
  );
  assert.match(
    problems.find((text) => text.includes('default/b')) ?? '',
    /^f\.yaml:9: .*10\.96\.0\.20 belongs to Service default\/a/,
  );
  assert.match(
    problems.find((text) => text.includes('default/c')) ?? '',
    /^f\.yaml:14: .*192\.0\.2\.1 is not an address of the sandbox's service range/,
  );
  assert.match(problems.find((text) => text.includes('default/d')) ?? '', /nonsense/);
});

test('the object shows its addresses as the API server would', () => {
  const [entry] = assign(new ServiceAddresses(), service('a')).entries;
  const spec = entry?.object['spec'];
  assert.ok(isFields(spec));
  assert.equal(spec['clusterIP'], '10.96.0.10');
  assert.deepEqual(spec['clusterIPs'], ['10.96.0.10', 'fd00:10:96::a']);
  assert.deepEqual(spec['selector'], { app: 'a' });
  const headless = assign(new ServiceAddresses(), service('h', ', clusterIP: None')).entries[0]?.object['spec'];
  assert.ok(isFields(headless));
  assert.equal(headless['clusterIP'], 'None');
});

test('no selector selects nothing', () => {
  assert.equal(selects(null, { app: 'a' }), false);
  assert.equal(selects({ app: 'a' }, { app: 'a', b: 'c' }), true);
  assert.equal(selects({ app: 'a', b: 'c' }, { app: 'a' }), false);
});

test('iptables rules: equal shares for each backend, one family per file', () => {
  const { entries } = assign(new ServiceAddresses(), service('a'));
  const backends = [1, 2, 3].map((n) => ({ address: `10.244.0.${n}`, port: 8080 }));
  assert.equal(
    serviceRules(entries, () => () => backends, 'v4'),
    `*nat
:WEIR-SERVICES - [0:0]
-A WEIR-SERVICES -d 10.96.0.10 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.33333 -j DNAT --to-destination 10.244.0.1:8080
-A WEIR-SERVICES -d 10.96.0.10 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.50000 -j DNAT --to-destination 10.244.0.2:8080
-A WEIR-SERVICES -d 10.96.0.10 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.0.3:8080
COMMIT
`,
  );
  const six = serviceRules(entries, () => () => [{ address: 'fd00::1', port: 1 }], 'v6');
  assert.match(six, /-d fd00:10:96::a .* --to-destination \[fd00::1\]:1/);
});
