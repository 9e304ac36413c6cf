import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AgentStream } from '../../../controlplane/push/agent-stream.ts';
import { holdOn, ResourceCache } from '../../../controlplane/push/resource-cache.ts';
import type { MeshResource, Service } from '../../../mesh/model.ts';
import type { AuthorizationPolicy } from '../../../mesh/policy-model.ts';
import { keyOf } from '../../../mesh/model.ts';
import {
  type DeltaResponse,
  decodeDeltaResponse,
  encodeDeltaResponse,
  type Nack,
} from '../../../mesh/wire/discovery.ts';
import { ADDRESS_TYPE_URL, TYPE_URLS, typeUrlOf } from '../../../mesh/wire/resource.ts';

const AUTHORIZATION_POLICY_TYPE_URL = typeUrlOf('authorizationPolicy');

function service(name: string, port = 80, portName = ''): Service {
  const hostname = `${name}.n.svc.cluster.local`;
  return {
    kind: 'service',
    namespace: 'n',
    name,
    hostname,
    addresses: [],
    ports: [{ port, name: portName, protocol: 'tcp' }],
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: null,
    externalName: null,
  };
}

function policy(name: string): AuthorizationPolicy {
  return {
    kind: 'authorizationPolicy',
    namespace: 'n',
    name,
    action: 'DENY',
    dryRun: false,
    meshWide: false,
    selector: null,
    targetServices: [],
    rules: [],
  };
}

const wire = (name: string): string => `n/${name}.n.svc.cluster.local`;

/** A client that follows the protocol: keeps what it accepts, answers when told to. */
class Peer {
  readonly stream: AgentStream;
  readonly cache: ResourceCache;
  /** Type URL → name → version. */
  readonly held: Map<string, Map<string, string>>;
  readonly seen: DeltaResponse[] = [];
  unanswered: DeltaResponse | null = null;
  readonly stop: () => void;

  constructor(cache: ResourceCache, held = new Map<string, Map<string, string>>()) {
    this.cache = cache;
    this.held = held;
    this.stream = new AgentStream(cache, 'test', (response) => {
      assert.equal(this.unanswered, null, 'one response at a time');
      this.unanswered = decodeDeltaResponse(encodeDeltaResponse(response));
      this.seen.push(this.unanswered);
    });
    this.stop = cache.onChange((changes, holdChanged) => this.stream.changed(changes, holdChanged));
  }

  subscribe(typeUrl: string, subscribe: string[] = ['*'], unsubscribe: string[] = []): this {
    const initialVersions = Object.fromEntries(this.held.get(typeUrl) ?? []);
    const request = { node: 'x', typeUrl, subscribe, unsubscribe, initialVersions, nonce: '', nack: null };
    assert.equal(this.stream.receive(request), null);
    return this;
  }

  /** Answers the response in flight: refuses the named resources (then none is taken), or takes all. */
  answer(nack: Nack | null = null): boolean {
    const response = this.unanswered;
    if (response === null) return false;
    this.unanswered = null;
    const held = this.held.get(response.typeUrl) ?? new Map<string, string>();
    this.held.set(response.typeUrl, held);
    if (nack === null) {
      for (const { name, version } of response.resources) held.set(name, version);
      for (const name of response.removed) held.delete(name);
    }
    const { typeUrl, nonce } = response;
    this.stream.receive({ node: 'x', typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce, nack });
    return true;
  }

  finish(): this {
    for (let turns = 0; this.answer(); turns++) assert.ok(turns < 1_000, 'the stream does not come to an end');
    return this;
  }

  names(typeUrl = ADDRESS_TYPE_URL): string[] {
    return [...(this.held.get(typeUrl)?.keys() ?? [])].sort();
  }
}

const upsert = (...upserts: MeshResource[]) => ({ upserts, removals: [] });
const remove = (...removals: MeshResource[]) => ({ upserts: [], removals: removals.map(keyOf) });

test('the first response of a type comes even when there is nothing, so that the agent knows it has everything', () => {
  const peer = new Peer(new ResourceCache(1)).subscribe(ADDRESS_TYPE_URL);
  assert.equal(peer.seen.length, 1);
  assert.deepEqual([peer.seen[0]?.resources, peer.seen[0]?.removed], [[], []]);
  peer.finish();
  assert.equal(peer.seen.length, 1);
  assert.equal(peer.stream.settledVersion, 1);
});

test('changes while a response is in flight are merged into the next one', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a')));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL);
  for (let port = 1; port <= 50; port++) cache.publish(upsert(service('a', port), service('b', port)));
  cache.publish(remove(service('b')));
  assert.equal(peer.seen.length, 1);
  assert.equal(peer.stream.settledVersion, 0);
  peer.finish();
  assert.equal(peer.seen.length, 2, 'b never reached the agent, so nothing is said of it');
  assert.deepEqual(peer.names(), [wire('a')]);
  assert.equal(peer.stream.settledVersion, cache.version);
});

test('a change that is undone before it is sent is not sent', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a', 1), service('b')));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL).finish();
  cache.publish(upsert(service('b', 7)));
  cache.publish(upsert(service('a', 2)));
  cache.publish(upsert(service('a', 1)));
  peer.finish();
  assert.deepEqual(
    peer.seen.slice(1).map((response) => response.resources.map(({ name }) => name)),
    [[wire('b')]],
  );
});

test('the same content has the same version in another controller; other content another', () => {
  const version = (resource: Service): string | undefined => {
    const cache = new ResourceCache(1);
    cache.publish(upsert(resource));
    return cache.resources(ADDRESS_TYPE_URL).get(wire('a'))?.version;
  };
  assert.equal(version(service('a')), version(service('a')));
  assert.notEqual(version(service('a')), version(service('a', 81)));
});

test('a large state is sent in several responses, each answered before the next', () => {
  const cache = new ResourceCache(1);
  const many = Array.from({ length: 700 }, (_, index) => service(`s${index}`, 80, 'p'.repeat(8_000)));
  cache.publish(upsert(...many));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL);
  assert.ok((peer.seen[0]?.resources.length ?? 0) < 700);
  peer.finish();
  assert.ok(peer.seen.length >= 2);
  assert.equal(peer.names().length, 700);
});

test('subscriptions by name: only those, missing ones are said to be missing, asking again sends again', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a'), service('b')));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL, [wire('a'), wire('none')]).finish();
  assert.deepEqual(
    peer.seen.map(({ resources, removed }) => [resources.map(({ name }) => name), removed]),
    [
      [[wire('a')], []],
      [[], [wire('none')]],
    ],
  );
  cache.publish(upsert(service('b', 81), service('none')));
  peer.finish();
  assert.deepEqual(peer.names(), [wire('a'), wire('none')]);
  peer.seen.length = 0;
  peer.subscribe(ADDRESS_TYPE_URL, [wire('a')], [wire('none')]).finish();
  assert.deepEqual(
    peer.seen.map(({ resources }) => resources.map(({ name }) => name)),
    [[wire('a')]],
  );
  cache.publish(upsert(service('none', 90)));
  assert.equal(peer.unanswered, null);
});

test('a NACK that names a resource refuses that one; a NACK that names none refuses the response', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a'), service('b'), service('c')));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL);
  peer.answer({ message: 'no', rejections: [{ name: wire('b'), error: 'bad b' }] });
  peer.finish();
  assert.deepEqual(peer.names(), [wire('a'), wire('c')]);
  assert.deepEqual(
    peer.stream.rejected().map(({ name, error }) => [name, error]),
    [[wire('b'), 'bad b']],
  );
  assert.equal(peer.stream.settledVersion, cache.version);

  cache.publish(upsert(service('a', 81), service('c', 81)));
  peer.answer({ message: 'nothing of it', rejections: [{ name: 'not in it', error: 'x' }] });
  peer.finish();
  assert.deepEqual(
    peer.stream.rejected().map(({ name, error }) => [name, error]),
    [
      [wire('b'), 'bad b'],
      [wire('a'), 'nothing of it'],
      [wire('c'), 'nothing of it'],
    ],
  );
  cache.publish(remove(service('b')));
  assert.equal(peer.unanswered, null, 'it never had b');
  cache.publish(remove(service('a')));
  peer.finish();
  assert.deepEqual(peer.names(), [wire('c')]);
});

test('an answer to another response than the one in flight means nothing', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a')));
  const peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL);
  const stale = {
    node: 'x',
    typeUrl: ADDRESS_TYPE_URL,
    subscribe: [],
    unsubscribe: [],
    initialVersions: {},
    nonce: '99',
    nack: null,
  };
  peer.stream.receive(stale);
  assert.equal(peer.stream.settledVersion, 0);
  peer.finish();
  assert.equal(peer.stream.settledVersion, cache.version);
});

test('a reconnecting agent is told what differs: changed, new, gone; and nothing of what is held back', () => {
  const cache = new ResourceCache(1);
  cache.publish(upsert(service('a'), service('b'), service('c'), policy('p'), policy('q')));
  const first = new Peer(cache);
  for (const typeUrl of TYPE_URLS) first.subscribe(typeUrl);
  first.finish();

  const later = new ResourceCache(100);
  const hold = holdOn([{ kind: 'authorizationPolicy', key: 'n/p' }], false);
  later.publish(upsert(service('a'), service('b', 81), service('d')), hold);
  const again = new Peer(later, first.held);
  for (const typeUrl of TYPE_URLS) again.subscribe(typeUrl);
  again.finish();
  assert.deepEqual(again.names(), [wire('a'), wire('b'), wire('d')]);
  assert.deepEqual(again.names(AUTHORIZATION_POLICY_TYPE_URL), ['n/p']);
  const sent = again.seen.flatMap(({ resources, removed }) => [
    ...resources.map(({ name }) => name),
    ...removed.map((name) => `-${name}`),
  ]);
  assert.deepEqual(sent.sort(), ['-n/q', `-${wire('c')}`, wire('b'), wire('d')].sort());

  again.seen.length = 0;
  later.publish(upsert(policy('p')));
  again.finish();
  assert.deepEqual(again.seen, [], 'what comes back as it was is no change');
  later.publish(remove(policy('p')));
  again.finish();
  assert.deepEqual(again.names(AUTHORIZATION_POLICY_TYPE_URL), []);
});

test('what is held back is removed when nothing speaks for it any more', () => {
  const held = new Map([
    [AUTHORIZATION_POLICY_TYPE_URL, new Map([['n/p', 'old']])],
    [ADDRESS_TYPE_URL, new Map([['uid', 'old']])],
  ]);
  const cache = new ResourceCache(1);
  cache.publish(upsert(), holdOn([], true));
  const peer = new Peer(cache, held).subscribe(AUTHORIZATION_POLICY_TYPE_URL).subscribe(ADDRESS_TYPE_URL).finish();
  assert.deepEqual(
    [peer.names(AUTHORIZATION_POLICY_TYPE_URL), peer.names()],
    [['n/p'], []],
    'workloads are never held',
  );
  cache.publish(upsert());
  peer.finish();
  assert.deepEqual(peer.names(AUTHORIZATION_POLICY_TYPE_URL), []);
});

test('a request without a type, and too many types, break the protocol', () => {
  const stream = new AgentStream(new ResourceCache(1), 'test', () => {});
  const request = { node: 'x', subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', nack: null };
  assert.match(stream.receive({ ...request, typeUrl: '' }) ?? '', /type_url/);
  for (let type = 0; type < 16; type++) assert.equal(stream.receive({ ...request, typeUrl: `t${type}` }), null);
  assert.match(stream.receive({ ...request, typeUrl: 'one more' }) ?? '', /too many/);
});

test('whatever happens in whatever order, an agent ends with what the cache has, but for what it refuses', () => {
  const names = ['a', 'b', 'c'] as const;
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), name: fc.constantFrom(...names), port: fc.constantFrom(1, 2) }),
    fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom(...names) }),
    fc.record({ do: fc.constant('ack' as const) }),
    fc.record({ do: fc.constant('nack' as const), name: fc.option(fc.constantFrom(...names)) }),
    fc.record({ do: fc.constant('reconnect' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const cache = new ResourceCache(1);
      let peer = new Peer(cache).subscribe(ADDRESS_TYPE_URL);
      for (const each of steps) {
        if (each.do === 'put') cache.publish(upsert(service(each.name, each.port)));
        else if (each.do === 'remove') cache.publish(remove(service(each.name)));
        else if (each.do === 'ack') peer.answer();
        else if (each.do === 'nack')
          peer.answer({ message: 'm', rejections: each.name === null ? [] : [{ name: wire(each.name), error: 'e' }] });
        else {
          peer.stop();
          peer = new Peer(cache, peer.held).subscribe(ADDRESS_TYPE_URL);
        }
      }
      peer.finish();
      peer.stop();
      const refused = new Map(peer.stream.rejected().map((rejected) => [rejected.name, rejected]));
      const expected = new Map([...cache.resources(ADDRESS_TYPE_URL)].map(([name, { version }]) => [name, version]));
      for (const [name, { held }] of refused) {
        if (held === null) expected.delete(name);
        else expected.set(name, held);
      }
      assert.deepEqual(Object.fromEntries(peer.held.get(ADDRESS_TYPE_URL) ?? []), Object.fromEntries(expected));
      assert.equal(peer.stream.settledVersion, cache.version);
    }),
    { numRuns: 1_000 },
  );
});
