/**
 * Requests on the CNI socket, validated field by field. Pure. What passes here may become part of a path that is opened, a log line
 * or a rule; so everything is checked for form and length, and unknown fields are ignored (a newer plugin may send more).
 */
import { canonicalIp } from '../../mesh/ip.ts';
import type { AddRequest, Attachment, PodReference } from './enrolment-types.ts';
import { failure, type Result, success } from './result.ts';

/** /check: the attachment, and the pod's namespace, by which excluded pods are known. */
export interface CheckRequest extends Attachment {
  readonly namespace: string | null;
}

/** Containers whose attachments one GC may name: limits.podsPerNodeMax has several interfaces each, with room. */
const ATTACHMENTS_MAX = 16_384;
/** Addresses of one pod. */
const ADDRESSES_MAX = 16;

/** The body of /add. */
export function parseAdd(body: unknown): Result<AddRequest> {
  const attachment = parseDel(body);
  if (!attachment.ok) return attachment;
  const fields = body as Fields;
  const netnsPath = parseNetnsPath(fields['netns']);
  if (!netnsPath.ok) return netnsPath;
  const pod = parsePod(fields['args']);
  if (!pod.ok) return pod;
  const ips = parseIps(fields['ips']);
  if (!ips.ok) return ips;
  return success({ ...attachment.value, netnsPath: netnsPath.value, pod: pod.value, ips: ips.value });
}

/** The body of /del. */
export function parseDel(body: unknown): Result<Attachment> {
  if (!isFields(body)) return invalid('body', 'is not a JSON object');
  const containerId = parseText(body['containerId'], 'containerId', CONTAINER_ID, 'e.g. 64 hexadecimal digits');
  if (!containerId.ok) return containerId;
  const ifName = parseText(body['ifName'], 'ifName', INTERFACE_NAME, 'e.g. eth0');
  if (!ifName.ok) return ifName;
  return success({ containerId: containerId.value, ifName: ifName.value });
}

/** The body of /check. */
export function parseCheck(body: unknown): Result<CheckRequest> {
  const attachment = parseDel(body);
  if (!attachment.ok) return attachment;
  const args = (body as Fields)['args'];
  if (args === undefined) return success({ ...attachment.value, namespace: null });
  const pod = parsePod(args);
  return pod.ok ? success({ ...attachment.value, namespace: pod.value.namespace }) : pod;
}

/** The body of /gc. */
export function parseGc(body: unknown): Result<readonly Attachment[]> {
  const list = isFields(body) ? body['validAttachments'] : undefined;
  // Absent is not empty: taking one for the other would drop every pod of the node.
  if (!Array.isArray(list)) return invalid('validAttachments', 'is not a list');
  if (list.length > ATTACHMENTS_MAX) return invalid('validAttachments', `has more than ${ATTACHMENTS_MAX} entries`);
  const attachments: Attachment[] = [];
  for (const entry of list as readonly unknown[]) {
    if (!isFields(entry)) return invalid('validAttachments', 'has an entry that is not an object');
    // The spec's spelling (containerID, ifname), not ours.
    const parsed = parseDel({ containerId: entry['containerID'], ifName: entry['ifname'] });
    if (!parsed.ok) return parsed;
    attachments.push(parsed.value);
  }
  return success(attachments);
}

/** A path that may be opened as a network namespace: absolute, no `..`, no control characters. Its type is checked when opened. */
export function parseNetnsPath(value: unknown): Result<string> {
  const path = parseText(value, 'netns', /^\/[\x21-\x7e]{1,1023}$/, 'e.g. /var/run/netns/cni-1234');
  if (!path.ok) return path;
  if (path.value.split('/').includes('..')) return invalid('netns', 'contains ..');
  return path;
}

/** `{ namespace, name, uid }`: RFC 1123 names as in Kubernetes; uid null or absent when the runtime does not tell. */
export function parsePod(value: unknown): Result<PodReference> {
  if (!isFields(value)) return invalid('args', 'is not an object');
  const namespace = parseText(value['namespace'], 'args.namespace', DNS_LABEL, 'e.g. default');
  if (!namespace.ok) return namespace;
  const name = parseText(value['name'], 'args.name', DNS_SUBDOMAIN, 'e.g. web-5d4f');
  if (!name.ok) return name;
  const uid = value['uid'];
  if (uid === undefined || uid === null || uid === '')
    return success({ namespace: namespace.value, name: name.value, uid: null });
  const parsed = parseText(uid, 'args.uid', POD_UID, 'a UUID');
  return parsed.ok ? success({ namespace: namespace.value, name: name.value, uid: parsed.value }) : parsed;
}

/** At least one address without prefix length; the canonical texts, each once. */
export function parseIps(value: unknown): Result<readonly string[]> {
  if (!Array.isArray(value)) return invalid('ips', 'is not a list');
  if (value.length === 0 || value.length > ADDRESSES_MAX) {
    return invalid('ips', `has ${value.length} addresses, expected 1 to ${ADDRESSES_MAX}`);
  }
  const ips = new Set<string>();
  for (const entry of value as readonly unknown[]) {
    const ip = typeof entry === 'string' ? canonicalIp(entry) : null;
    if (ip === null) return invalid('ips', `has ${quote(entry)}, which is not an IP address`);
    ips.add(ip);
  }
  return success([...ips]);
}

// CNI spec 1.1, "Parameters": alphanumeric first, then also _ . -
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,255}$/;
// Linux allows more (anything but / and space, IFNAMSIZ 16); no runtime uses it, and quotes have no business in a log.
const INTERFACE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}$/;
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const POD_UID = /^[A-Za-z0-9][A-Za-z0-9-]{0,127}$/;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseText(value: unknown, field: string, form: RegExp, example: string): Result<string> {
  if (typeof value !== 'string') return invalid(field, `is ${value === undefined ? 'missing' : 'not a string'}`);
  // Length first: some of the forms take time on long input.
  if (value.length > 1_024 || !form.test(value))
    return invalid(field, `${quote(value)} is malformed; expected ${example}`);
  return success(value);
}

function invalid(field: string, reason: string): Result<never> {
  return failure('INVALID_REQUEST', `CNI request: ${field} ${reason}`);
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
