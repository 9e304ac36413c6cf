/** What Kubernetes allows as names, labels and header fields. All patterns run in linear time. */
import type { TextRule } from './object-reader.ts';

/** RFC 1123 label: namespaces, Services. */
export const LABEL_NAME: TextRule = {
  pattern: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
  description: 'lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit',
};
/** RFC 1123 subdomain: most object names. */
export const OBJECT_NAME: TextRule = {
  pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
  description: 'lower-case letters, digits, "-" and ".", at most 253, beginning and ending with a letter or digit',
};
/** Gateway API Hostname: RFC 1123 in lower case, `*.` before it for all names below. */
export const HOSTNAME: TextRule = {
  pattern: /^(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
  description: 'a host name in lower case such as a.example.com, or *.example.com for all names below it',
};
/** IANA service name (RFC 6335): named ports. */
export const PORT_NAME: TextRule = {
  pattern: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
  description: 'lower-case letters, digits and "-", at most 63',
};
export const LABEL_KEY: TextRule = {
  pattern: /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  description: 'letters, digits, "-", "_" and ".", at most 63, with an optional DNS prefix and "/"',
};
export const LABEL_VALUE: TextRule = {
  pattern: /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/,
  description: 'letters, digits, "-", "_" and ".", at most 63',
};
/** A pod's uid as it travels on the wire: no "/" (mesh/wire/address.ts). */
export const UID: TextRule = {
  pattern: /^[A-Za-z0-9][-A-Za-z0-9._]{0,252}$/,
  description: 'letters, digits, "-", "_" and ".", as the API server makes them',
};
/** RFC 9110 section 5.6.2. */
export const HEADER_NAME: TextRule = {
  pattern: /^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,256}$/,
  description: 'a header name (letters, digits and "-")',
};
