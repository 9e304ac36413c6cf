/** What the heads of requests and responses have in common: their fields, and how those are read. */
import { FIELD_CONNECTION, FieldSection } from './field-section.ts';
import { OPTION_KEEP_ALIVE, OPTION_UPGRADE } from './connection-options.ts';

export class MessageHead {
  readonly fields: FieldSection;
  /** Connection and Upgrade are forwarded: the message asks for, or makes, a switch of protocols. */
  upgrade = false;

  constructor(headerCountMax: number) {
    this.fields = new FieldSection(headerCountMax);
  }

  header(name: string): string | undefined {
    return this.fields.value(name);
  }

  headerValues(name: string): readonly string[] {
    return this.fields.values(name);
  }

  get headerCount(): number {
    return this.fields.count;
  }

  nameStart(index: number): number {
    return this.fields.nameStart(index);
  }

  nameEnd(index: number): number {
    return this.fields.nameEnd(index);
  }

  valueStart(index: number): number {
    return this.fields.valueStart(index);
  }

  valueEnd(index: number): number {
    return this.fields.valueEnd(index);
  }

  /** The field ends at this hop: a rewrite drops it. Connection is always one, even in a head that is forwarded as it is. */
  hopByHop(index: number): boolean {
    return this.fields.removed[index] === 1;
  }

  /** `options` (of Connection) say no more than weir would say itself, and nothing else ends here. */
  protected connectionIsHarmless(options: number): boolean {
    const needed = this.upgrade ? OPTION_UPGRADE : OPTION_KEEP_ALIVE;
    if ((options & ~OPTION_KEEP_ALIVE & ~needed) !== 0 || (options & needed) === 0) return false;
    const { fields } = this;
    for (let i = 0; i < fields.count; i++) {
      if (fields.removed[i] === 1 && fields.kinds[i] !== FIELD_CONNECTION) return false;
    }
    return true;
  }
}
