/** ServiceEntries that are resolved by name: which names, and where what they lead to takes a connection. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { firstAddresses, namesOfEntry } from '../../../mesh/external-services.ts';
import { explain } from '../../../mesh/explain.ts';
import { type Asked, questionOf } from '../../../mesh/explain-ask.ts';
import { familyOf } from '../../../mesh/ip.ts';
import type { MeshResource, NameAnswer } from '../../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import type { ServiceEntry } from '../../../mesh/traffic-model.ts';
import { policy } from './explain-resources.ts';
import { entryEndpoint, serviceEntry, workload } from './resources.ts';

const HOST = 'api.example.com';
const [A, B, C] = ['203.0.113.1', '203.0.113.2', '203.0.113.3'];
const SIX = '2001:db8::1';

function named(fields: Partial<ServiceEntry> = {}): ServiceEntry {
  return serviceEntry({ name: 'e', resolution: 'DNS', ...fields });
}

function answer(state: MeshState, ...answers: NameAnswer[]): void {
  assert.deepEqual(state.apply({ upserts: [], removals: [], answers }), { ok: true });
}

function stateOf(resources: readonly MeshResource[], ...answers: NameAnswer[]): MeshState {
  const state = new MeshState({ resolvesNames: true });
  assert.deepEqual(state.apply({ upserts: resources, removals: [], answers }), { ok: true });
  return state;
}

/** Addresses and ports that a host leads clients of a family to, or `dialled`. */
function leads(state: MeshState, host = HOST, family: 4 | 6 = 4): string {
  const cluster = state.resolveHost(null, host, 80, family)?.target.cluster;
  if (cluster === undefined) return 'unknown';
  return cluster.passthrough
    ? 'dialled'
    : cluster.endpoints
        .map(({ address, port }) => `${address} ${port}`)
        .sort()
        .join(', ');
}

describe('the names of a ServiceEntry', () => {
  const named2 = [entryEndpoint('a.test'), entryEndpoint(A), entryEndpoint('b.test'), entryEndpoint('a.test')];
  const rows: [string, Partial<ServiceEntry>, string[]][] = [
    ['NONE has none', { resolution: 'NONE' }, []],
    ['STATIC has none', { resolution: 'STATIC', endpoints: [entryEndpoint(A)] }, []],
    ['DNS: its hosts', { hosts: [HOST, 'b.example.com'] }, [HOST, 'b.example.com']],
    ['DNS_ROUND_ROBIN: its host', { resolution: 'DNS_ROUND_ROBIN' }, [HOST]],
    ['DNS with endpoints: theirs, each once', { endpoints: named2 }, ['a.test', 'b.test']],
    ['DNS with addresses for endpoints: none', { endpoints: [entryEndpoint(A)] }, []],
    ['DNS with pods that are selected: none', { workloads: ['u1'] }, []],
    ['DYNAMIC_DNS: hosts without a wildcard', { resolution: 'DYNAMIC_DNS', hosts: ['*.example.com', HOST] }, [HOST]],
    ['a wildcard is no name', { hosts: ['*.example.com'] }, []],
  ];
  for (const [what, fields, expected] of rows) {
    it(what, () => assert.deepEqual(namesOfEntry(named(fields)), expected));
  }
});

describe('a host that is resolved', () => {
  const both = [A, B, SIX];
  const rows: [string, Partial<ServiceEntry>, string[] | null, 4 | 6, string][] = [
    ['not answered yet: nowhere', {}, null, 4, ''],
    ['that does not exist: nowhere', {}, [], 4, ''],
    ['DNS: all of the family', {}, both, 4, `${A} 80, ${B} 80`],
    ['DNS: all of the other family too', {}, both, 6, `${SIX} 80`],
    ['only of the other family: those', {}, [A, B], 6, `${A} 80, ${B} 80`],
    ['DNS_ROUND_ROBIN: the first', { resolution: 'DNS_ROUND_ROBIN' }, [B, A, SIX], 4, `${B} 80`],
    ['DNS_ROUND_ROBIN: the first of the family', { resolution: 'DNS_ROUND_ROBIN' }, [B, A, SIX], 6, `${SIX} 80`],
    ['STATIC without endpoints: nowhere', { resolution: 'STATIC' }, null, 4, ''],
    ['NONE: the address that was dialled', { resolution: 'NONE' }, null, 4, 'dialled'],
  ];
  for (const [what, fields, addresses, family, expected] of rows) {
    it(what, () => {
      const answers = addresses === null ? [] : [{ name: HOST, addresses }];
      assert.equal(leads(stateOf([named(fields)], ...answers), HOST, family), expected);
    });
  }

  it('of several hosts each leads where its own name does; endpoints back all of them', () => {
    const hosts = [HOST, 'b.example.com'];
    const state = stateOf(
      [named({ hosts })],
      { name: HOST, addresses: [A] },
      { name: hosts[1] as string, addresses: [B] },
    );
    assert.equal(leads(state), `${A} 80`);
    assert.equal(leads(state, 'b.example.com'), `${B} 80`);
    const endpoints = [entryEndpoint('real.test', { ports: { '80': 8080 } }), entryEndpoint(C)];
    const backed = stateOf([named({ hosts, endpoints })], { name: 'real.test', addresses: [A, B] });
    for (const host of hosts) assert.equal(leads(backed, host), `${A} 8080, ${B} 8080, ${C} 80`);
  });

  it('by VIP too; but its addresses lead to nobody, and belong to no pod', () => {
    const vip = '198.51.100.1';
    const pod = workload({ uid: 'u1', addresses: ['10.0.0.9'] });
    const state = stateOf([named({ addresses: [vip] }), pod], { name: HOST, addresses: [A, '10.0.0.9'] });
    const destination = state.resolve(vip, 80);
    assert.ok(destination.kind === 'service');
    assert.deepEqual(
      destination.target.cluster.endpoints.map(({ address }) => address),
      ['10.0.0.9', A],
    );
    assert.equal(state.resolve(A, 80).kind, 'unknown');
    const direct = state.resolve('10.0.0.9', 80);
    assert.ok(direct.kind === 'workload' && direct.workload.uid === 'u1');
    assert.equal(state.workloadByAddress('10.0.0.9')?.uid, 'u1');
  });

  it('what is no address is left out, and what is written otherwise is brought into canonical form', () => {
    const state = stateOf([named()], { name: HOST, addresses: ['nonsense', '2001:DB8:0::1', SIX, A] });
    assert.equal(leads(state), `${A} 80`);
    assert.deepEqual(state.nameAnswers(), [{ name: HOST, addresses: [SIX, A] }]);
  });

  it('an answer of a name that nobody needs is forgotten, also when it is needed later', () => {
    const state = stateOf([], { name: HOST, addresses: [A] });
    assert.equal(state.generation, 0);
    assert.deepEqual(state.apply({ upserts: [named()], removals: [] }), { ok: true });
    assert.equal(leads(state), '');
    answer(state, { name: HOST, addresses: [A] });
    const removals = [{ kind: 'serviceEntry', key: 'shop/e' } as const];
    state.apply({ upserts: [], removals });
    assert.deepEqual([[...state.namesNeeded()], state.nameAnswers()], [[], []]);
    state.apply({ upserts: [named()], removals: [] });
    assert.equal(leads(state), '');
    answer(state, { name: HOST, addresses: [A] });
    state.apply({ upserts: [named({ exportTo: ['bank'] })], removals });
    assert.equal(leads(state), `${A} 80`, 'replaced in one delta: still known');
  });

  it('the version of the names grows with what is needed, and with nothing else', () => {
    const state = stateOf([named()]);
    const version = state.namesVersion;
    answer(state, { name: HOST, addresses: [A] });
    state.apply({ upserts: [named({ name: 'f' }), named({ exportTo: ['bank'] })], removals: [] });
    assert.equal(state.namesVersion, version);
    state.apply({ upserts: [named({ hosts: ['b.example.com'] })], removals: [] });
    assert.ok(state.namesVersion > version);
    assert.deepEqual([...state.namesNeeded()], [HOST, 'b.example.com']);
  });
});

describe('an answer that makes no difference', () => {
  const state = (resolution: ServiceEntry['resolution']) =>
    stateOf([named({ resolution })], { name: HOST, addresses: [A, B, SIX] });
  const rows: [string, ServiceEntry['resolution'], string[], boolean][] = [
    ['the same', 'DNS', [A, B, SIX], false],
    ['another order', 'DNS', [SIX, B, A], false],
    ['one more', 'DNS', [A, B, C, SIX], true],
    ['one less', 'DNS', [A, SIX], true],
    ['another one', 'DNS', [A, C, SIX], true],
    ['another order of the rest', 'DNS_ROUND_ROBIN', [SIX, A, B], false],
    ['another first one', 'DNS_ROUND_ROBIN', [B, A, SIX], true],
  ];
  for (const [what, resolution, addresses, changes] of rows) {
    it(`${resolution}: ${what} ${changes ? 'is' : 'is no'} change of the mesh`, () => {
      const mesh = state(resolution);
      const { generation } = mesh;
      const before = mesh.resolveHost(null, HOST, 80, 4)?.target.cluster.endpoints;
      answer(mesh, { name: HOST, addresses });
      assert.equal(mesh.generation > generation, changes);
      if (!changes) assert.equal(mesh.resolveHost(null, HOST, 80, 4)?.target.cluster.endpoints, before);
    });
  }

  it('an endpoint lives for as long as its address is in the answers', () => {
    const mesh = state('DNS');
    const at = (ip: string) =>
      mesh.resolveHost(null, HOST, 80, 4)?.target.cluster.endpoints.find((e) => e.address === ip);
    const [kept, gone] = [at(A), at(B)];
    answer(mesh, { name: HOST, addresses: [C, A] });
    assert.equal(at(A), kept);
    assert.equal(at(B), undefined);
    assert.notEqual(mesh.endpointAt(gone?.slot ?? 0), gone);
  });
});

describe('a host never leads to an address that its names did not', () => {
  const ips = [A, B, C, SIX, '2001:db8::2'];
  it('property', () => {
    const anyAnswer = fc.uniqueArray(fc.constantFrom(...ips), { maxLength: 5 });
    const anyResolution = fc.constantFrom('DNS' as const, 'DNS_ROUND_ROBIN' as const, 'DYNAMIC_DNS' as const);
    fc.assert(
      fc.property(anyResolution, fc.array(anyAnswer, { minLength: 1, maxLength: 5 }), (resolution, answers) => {
        const state = stateOf([named({ resolution })]);
        for (const addresses of answers) {
          answer(state, { name: HOST, addresses });
          for (const family of [4, 6] as const) {
            const endpoints = state.resolveHost(null, HOST, 80, family)?.target.cluster.endpoints ?? [];
            const own = addresses.filter((ip) => familyOf(ip) === family);
            const fitting = own.length > 0 ? own : addresses;
            const expected =
              resolution === 'DNS_ROUND_ROBIN'
                ? firstAddresses(addresses).filter((ip) => fitting.includes(ip))
                : fitting;
            assert.deepEqual(endpoints.map(({ address }) => address).sort(), [...expected].sort());
          }
        }
      }),
    );
  });
});

describe('weir explain', () => {
  const asked: Asked = {
    from: 'shop/web',
    to: `${HOST}:80`,
    method: 'GET',
    path: '/',
    host: '',
    headers: [],
    tcp: false,
    sni: '',
  };
  const decide = (state: MeshState, more: Partial<Asked> = {}) => {
    const question = questionOf(state, { ...asked, ...more }, '1');
    assert.ok(question.ok);
    const { verdict, status, because } = explain(state, question.request);
    return [verdict, status, because];
  };

  it('an agent says where the name leads now, or that it leads nowhere', () => {
    const state = stateOf([named()]);
    const nowhere = `the agent has found no address for ${HOST}`;
    assert.deepEqual(decide(state), ['deny', 503, `503: ${nowhere}`]);
    assert.deepEqual(decide(state, { tcp: true }), ['deny', null, `reset: ${nowhere}`]);
    answer(state, { name: HOST, addresses: [A] });
    const told = `allowed: the destination is outside the mesh, at ${A}:80, which its name leads to now`;
    assert.deepEqual(decide(state), ['allow', 200, told]);
    assert.deepEqual(decide(state, { tcp: true }), ['allow', null, told]);
  });

  it('without an agent: that the agent finds out', () => {
    const state = new MeshState();
    state.apply({ upserts: [named({ endpoints: [entryEndpoint('real.test')] })], removals: [] });
    assert.deepEqual(decide(state), [
      'allow',
      200,
      "allowed: the destination is outside the mesh, where the agent's resolver finds real.test (nowhere while it finds nothing)",
    ]);
  });

  it('resolution NONE: the address that the client dials', () => {
    const told = 'allowed: the destination is outside the mesh, at the address that the client dials (resolution NONE)';
    assert.deepEqual(decide(stateOf([named({ resolution: 'NONE' })])), ['allow', 200, told]);
  });

  describe('an address that the mesh does not know', () => {
    const client = workload({ uid: 'web', name: 'web', addresses: ['10.0.0.1'] });
    const strict = { ...DEFAULT_SETTINGS, outboundTrafficPolicy: 'REGISTRY_ONLY' as const };
    const to = { from: 'shop/web', to: '192.0.2.9:80' };
    const state = (...more: MeshResource[]) => stateOf([named(), client, ...more], { name: HOST, addresses: [A] });
    const there = `allowed: the destination is outside the mesh, at ${A}:80, which its name leads to now`;
    const closed = 'the mesh knows neither the address nor a host of that name that the client may see (REGISTRY_ONLY)';

    it('goes where the name leads that the client says, under either policy', () => {
      for (const more of [[], [strict]]) {
        const mesh = state(...more);
        assert.deepEqual(decide(mesh, { ...to, host: `API.example.com:80` }), ['allow', 200, there]);
        assert.deepEqual(decide(mesh, { ...to, tcp: true, sni: HOST }), ['allow', null, there]);
      }
    });

    it('with another name: passes under ALLOW_ANY, and not under REGISTRY_ONLY', () => {
      assert.equal(decide(state(), { ...to, host: 'other.example' })[0], 'allow');
      assert.deepEqual(decide(state(strict), { ...to, host: 'other.example' }), ['deny', 502, `502: ${closed}`]);
      assert.deepEqual(decide(state(strict), { ...to, tcp: true }), ['deny', null, `reset: ${closed}`]);
    });

    it('and not where the host is hidden from the client', () => {
      const mesh = stateOf([named({ exportTo: ['bank'] }), client, strict], { name: HOST, addresses: [A] });
      assert.deepEqual(decide(mesh, { ...to, host: HOST }), ['deny', 502, `502: ${closed}`]);
    });
  });

  it('what is outside the mesh has no policy of its own: agents enforce none for it', () => {
    const denies = policy({ name: 'nobody', rules: [] });
    for (const endpoints of [[], [entryEndpoint(B)]]) {
      const state = stateOf([named({ endpoints }), denies], { name: HOST, addresses: [A] });
      assert.equal(decide(state)[0], 'allow');
    }
  });
});
