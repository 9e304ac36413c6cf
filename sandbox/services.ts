/** Services: ClusterIPs as the API server allocates them, dual stack, and what their names resolve to. */
import { canonicalIp, cidrContains, parseCidr, parseIp } from '../mesh/ip.ts';
import { Reader } from './reader.ts';
import { describeObject, type Fields, isFields, type Problem, type SourceObject } from './source.ts';

export const SERVICE_CIDR_V4 = '10.96.0.0/16';
export const SERVICE_CIDR_V6 = 'fd00:10:96::/112';

export interface ServicePortSpec {
  readonly name: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
}

export interface ServiceEntry {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  /** Canonical text; empty for headless services. */
  readonly clusterIps: readonly string[];
  readonly selector: Readonly<Record<string, string>> | null;
  readonly publishNotReady: boolean;
  readonly ports: readonly ServicePortSpec[];
  /** What a Service of the type ExternalName is another name for; null: it is of another type. */
  readonly externalName: string | null;
  /** The object with its addresses filled in, as the API server would show it. */
  readonly object: Fields;
  readonly source: SourceObject;
}

/** The first ten addresses are left to fixed ones, such as the API server's own Service. */
const FIRST_OFFSET = 10;
const LAST_OFFSET = 0xfffe;

/**
 * Hands out ClusterIPs. A Service keeps its addresses for the life of the sandbox, even when it is deleted and applied
 * again, so that clients and tests can rely on them.
 */
export class ServiceAddresses {
  readonly #remembered = new Map<string, number>();
  #next = FIRST_OFFSET;

  /** Reads all Services of the cluster; conflicts and malformed addresses are added to the problems. */
  assign(objects: readonly SourceObject[], problems: Problem[]): ServiceEntry[] {
    const holders = new Map<string, SourceObject>();
    const take = (object: SourceObject, addresses: readonly string[]): void => {
      for (const address of addresses) {
        const holder = holders.get(address);
        if (holder !== undefined && holder !== object) {
          const reader = new Reader(object, problems);
          const remedy = 'leave clusterIP out to get a free one';
          reader.refuse(['spec', 'clusterIP'], `${address} belongs to ${describeObject(holder)}`, remedy);
        }
        holders.set(address, object);
      }
    };
    const drafts = objects.map((object) => readService(object, problems));
    for (const draft of drafts) take(draft.source, draft.fixed);
    return drafts.map((draft) => {
      const clusterIps = draft.headless ? [] : this.#complete(draft, holders);
      take(draft.source, clusterIps);
      return toEntry(draft, clusterIps);
    });
  }

  #complete(draft: Draft, holders: ReadonlyMap<string, SourceObject>): string[] {
    if (draft.fixed.length > 0 && draft.fixed.length >= draft.families.length) return [...draft.fixed];
    const key = `${draft.source.namespace}/${draft.source.name}`;
    let offset = this.#remembered.get(key);
    while (offset === undefined) {
      const candidate = this.#next;
      this.#next = candidate >= LAST_OFFSET ? FIRST_OFFSET : candidate + 1;
      const taken = [...this.#remembered.values()].includes(candidate);
      if (!taken && !holders.has(addressAt('IPv4', candidate)) && !holders.has(addressAt('IPv6', candidate)))
        offset = candidate;
    }
    this.#remembered.set(key, offset);
    const own = offset;
    return draft.families.map(
      (family) => draft.fixed.find((address) => familyOf(address) === family) ?? addressAt(family, own),
    );
  }
}

type Family = 'IPv4' | 'IPv6';

interface Draft {
  readonly source: SourceObject;
  readonly type: string;
  readonly headless: boolean;
  readonly fixed: readonly string[];
  readonly families: readonly Family[];
  readonly selector: Readonly<Record<string, string>> | null;
  readonly publishNotReady: boolean;
  readonly ports: readonly ServicePortSpec[];
  readonly externalName: string | null;
}

function readService(source: SourceObject, problems: Problem[]): Draft {
  const root = new Reader(source, problems);
  const spec = root.child('spec');
  if (spec === null) {
    root.refuse('spec', 'missing', 'write spec with ports and selector');
    const empty = { type: 'ClusterIP', headless: true, fixed: [], families: [], selector: null };
    return { ...empty, source, publishNotReady: false, ports: [], externalName: null };
  }
  const type = spec.string('type') ?? 'ClusterIP';
  const listed = spec.strings('clusterIPs') ?? [];
  const single = spec.string('clusterIP') ?? '';
  const wanted = listed.length > 0 ? listed : single === '' ? [] : [single];
  // A Service of the type ExternalName is a name for another name: it has no addresses and no pods.
  const headless = wanted.includes('None') || type === 'ExternalName';
  const fixed = headless ? [] : wanted.flatMap((text) => readClusterIp(spec, text));
  const selector = spec.has('selector') ? spec.map('selector') : null;
  return {
    source,
    type,
    headless,
    fixed,
    families: listed.length > 0 ? fixed.map(familyOf) : readFamilies(spec, fixed),
    selector: selector !== null && type !== 'ExternalName' && Object.keys(selector).length > 0 ? selector : null,
    publishNotReady: spec.boolean('publishNotReadyAddresses'),
    ports: spec.children('ports').map(readPort),
    externalName: type === 'ExternalName' ? spec.requiredString('externalName', 'write the other name') : null,
  };
}

function readClusterIp(spec: Reader, text: string): string[] {
  const address = canonicalIp(text);
  const range = address === null ? null : parseCidr(familyOf(address) === 'IPv4' ? SERVICE_CIDR_V4 : SERVICE_CIDR_V6);
  const parsed = address === null ? null : parseIp(address);
  if (address !== null && range !== null && parsed !== null && cidrContains(range, parsed)) return [address];
  const remedy = `choose one of ${SERVICE_CIDR_V4} or ${SERVICE_CIDR_V6}, or leave it out`;
  spec.refuse('clusterIP', `${text} is not an address of the sandbox's service range`, remedy);
  return [];
}

/** Both families unless the Service asks for one: the sandbox is a dual-stack cluster. */
function readFamilies(spec: Reader, fixed: readonly string[]): Family[] {
  const given = (spec.strings('ipFamilies') ?? []).filter((family) => family === 'IPv4' || family === 'IPv6');
  const first = given[0] ?? (fixed[0] === undefined ? 'IPv4' : familyOf(fixed[0]));
  if (spec.string('ipFamilyPolicy') === 'SingleStack') return [first];
  return first === 'IPv4' ? ['IPv4', 'IPv6'] : ['IPv6', 'IPv4'];
}

function readPort(port: Reader): ServicePortSpec {
  const number = port.integer('port', 0, 1, 65_535);
  const protocol = port.string('protocol') ?? 'TCP';
  const target = port.fields['targetPort'];
  return {
    name: port.string('name') ?? '',
    protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
    port: number,
    targetPort: typeof target === 'string' || typeof target === 'number' ? target : number,
  };
}

function toEntry(draft: Draft, clusterIps: readonly string[]): ServiceEntry {
  const { source } = draft;
  const spec = isFields(source.fields['spec']) ? source.fields['spec'] : {};
  const metadata = isFields(source.fields['metadata']) ? source.fields['metadata'] : {};
  const given = {
    clusterIP: draft.headless ? 'None' : clusterIps[0],
    clusterIPs: draft.headless ? ['None'] : clusterIps,
    ipFamilies: draft.families,
    ipFamilyPolicy: draft.families.length > 1 ? 'RequireDualStack' : 'SingleStack',
  };
  const filled = { ...spec, type: draft.type, ...(draft.type === 'ExternalName' ? {} : given) };
  return {
    namespace: source.namespace ?? 'default',
    name: source.name,
    type: draft.type,
    clusterIps,
    selector: draft.selector,
    publishNotReady: draft.publishNotReady,
    ports: draft.ports,
    externalName: draft.externalName,
    object: { ...source.fields, metadata: { ...metadata, namespace: source.namespace ?? 'default' }, spec: filled },
    source,
  };
}

function addressAt(family: Family, offset: number): string {
  return family === 'IPv4' ? `10.96.${offset >> 8}.${offset & 255}` : `fd00:10:96::${offset.toString(16)}`;
}

function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** True when the labels carry all of the selector (an absent selector selects nothing). */
export function selects(
  selector: Readonly<Record<string, string>> | null,
  labels: Readonly<Record<string, string>>,
): boolean {
  return selector !== null && Object.entries(selector).every(([key, value]) => labels[key] === value);
}
