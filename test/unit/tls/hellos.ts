/** ClientHellos for tests: put together field by field, and cut into records. */

function number(value: number, octets: number): Buffer {
  const buffer = Buffer.alloc(octets);
  buffer.writeUIntBE(value, 0, octets);
  return buffer;
}

/** A vector with its length before it. */
export function vector(lengthOctets: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([number(content.length, lengthOctets), content]);
}

export function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([number(type, 2), vector(2, content)]);
}

export function serverNames(...names: readonly (string | [type: number, name: Buffer])[]): Buffer {
  const entries = names.map((name) => {
    const [type, octets] = typeof name === 'string' ? [0, Buffer.from(name, 'latin1')] : name;
    return Buffer.concat([number(type, 1), vector(2, octets)]);
  });
  return extension(0, vector(2, ...entries));
}

export function alpn(...names: string[]): Buffer {
  return extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name)))));
}

export const ECH = extension(0xfe_0d, Buffer.from('0000010001aa0000', 'hex'));

export interface HelloFields {
  readonly version?: number;
  readonly session?: Buffer;
  readonly ciphers?: Buffer;
  readonly compression?: Buffer;
  /** null: a ClientHello that ends without extensions. */
  readonly extensions?: readonly Buffer[] | null;
}

/** A handshake message. */
export function helloMessage(fields: HelloFields = {}): Buffer {
  const body = Buffer.concat([
    number(fields.version ?? 0x03_03, 2),
    Buffer.alloc(32, 7),
    vector(1, fields.session ?? Buffer.alloc(32, 9)),
    vector(2, fields.ciphers ?? Buffer.from('13011302', 'hex')),
    vector(1, fields.compression ?? Buffer.of(0)),
    fields.extensions === null ? Buffer.alloc(0) : vector(2, ...(fields.extensions ?? [])),
  ]);
  return Buffer.concat([Buffer.of(1), number(body.length, 3), body]);
}

/** One record (RFC 8446 section 5.1). */
export function record(fragment: Buffer, type = 22, version = 0x03_01): Buffer {
  return Buffer.concat([number(type, 1), number(version, 2), number(fragment.length, 2), fragment]);
}

/** A message in records of at most `size` octets. */
export function records(message: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) parts.push(record(message.subarray(at, at + size)));
  return Buffer.concat(parts);
}

export function hello(...extensions: Buffer[]): Buffer {
  return records(helloMessage({ extensions }));
}
