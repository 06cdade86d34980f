/**
 * Wire messages as values: a message is a list of fields with version ranges, in wire order. TypeScript types are
 * inferred from it, and codecs are compiled from it on first use, one per version (compile.ts).
 */
import { compileDecoder, compileEncoder } from './compile.ts'
import { Reader } from './reader.ts'
import type { Uuid } from './uuid.ts'
import { parseVersions, type VersionRange } from './versions.ts'
import { type Chunked, Writer } from './writer.ts'

export type ScalarKind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'

export type FieldOptions = {
  /** Versions in which the value may be null. */
  readonly nullable?: string
  /** What an absent field reads as, and what may be left out when writing. Without it: 0, false, '', [], zero uuid. */
  readonly default?: unknown
  /** Number of a tagged field: written only when it differs from its default. */
  readonly tag?: number
  /** Versions in which the field is tagged, when fewer than those in which it is there. */
  readonly tagged?: string
  /** In versions without this field a value other than the default is dropped silently instead of refused. */
  readonly ignorable?: true
  /** 'none': never in compact form, whatever the message is. */
  readonly flexible?: 'none'
}

/** One field. `Value` is what decoding gives, `Input` what encoding takes, `Optional` whether it may be left out. */
export type Field<Value = unknown, Input = unknown, Optional extends boolean = boolean> = {
  readonly kind: ScalarKind | 'struct'
  readonly isArray: boolean
  readonly versions: string
  readonly options: FieldOptions
  /** The fields of a struct or of an array's elements. */
  readonly fields: Fields | undefined
  /** Only for types: never set. */
  readonly $?: { value: Value; input: Input; optional: Optional }
}

export type Fields = { readonly [name: string]: Field }

type Simplify<T> = { [K in keyof T]: T[K] } & {}
type Nullable<T, O> = O extends { nullable: string } ? T | null : T
type IsOptional<O> = O extends { default: unknown } | { tag: number } ? true : false
type ValueOf<F> = F extends Field<infer V, unknown, boolean> ? V : never
type InputOfField<F> = F extends Field<unknown, infer I, boolean> ? I : never
type OptionalNames<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<unknown, unknown, infer O>
    ? O extends true
      ? K
      : never
    : never
}[keyof F]

/** A decoded message: every field is there, absent ones at their default. */
export type ValuesOf<F extends Fields> = Simplify<{ -readonly [K in keyof F]: ValueOf<F[K]> }>
/** What encoding takes: fields with a default may be left out. */
export type InputsOf<F extends Fields> = Simplify<
  { readonly [K in Exclude<keyof F, OptionalNames<F>>]: InputOfField<F[K]> } & {
    readonly [K in OptionalNames<F>]?: InputOfField<F[K]> | undefined
  }
>

type Make<Value, Input = Value> = <const O extends FieldOptions = Record<never, never>>(
  versions: string,
  options?: O,
) => Field<Nullable<Value, O>, Nullable<Input, O>, IsOptional<O>>

function scalar<Value, Input = Value>(kind: ScalarKind): Make<Value, Input> {
  return (versions, options) => ({
    kind,
    isArray: false,
    versions,
    options: options ?? {},
    fields: undefined,
  })
}

function scalars<Value>(kind: ScalarKind): Make<Value[], readonly Value[]> {
  return (versions, options) => ({
    kind,
    isArray: true,
    versions,
    options: options ?? {},
    fields: undefined,
  })
}

export const bool = scalar<boolean>('bool')
export const int8 = scalar<number>('int8')
export const int16 = scalar<number>('int16')
export const uint16 = scalar<number>('uint16')
export const int32 = scalar<number>('int32')
export const uint32 = scalar<number>('uint32')
export const int64 = scalar<number>('int64')
export const float64 = scalar<number>('float64')
export const uuid = scalar<Uuid>('uuid')
export const string = scalar<string>('string')
/** Decodes to a view of the message's buffer. */
export const bytes = scalar<Buffer, Chunked>('bytes')
/** Record batches: decodes to a view of the message's buffer, is sent as chunks of its own. */
export const records = scalar<Buffer, Chunked>('records')
/** An int16 from the table of error codes. */
export const errorCode = scalar<number>('int16')

export const int8s = scalars<number>('int8')
export const int16s = scalars<number>('int16')
export const int32s = scalars<number>('int32')
export const int64s = scalars<number>('int64')
export const uuids = scalars<Uuid>('uuid')
export const strings = scalars<string>('string')

export function struct<const F extends Fields, const O extends FieldOptions = Record<never, never>>(
  versions: string,
  fields: F,
  options?: O,
): Field<Nullable<ValuesOf<F>, O>, Nullable<InputsOf<F>, O>, IsOptional<O>> {
  return { kind: 'struct', isArray: false, versions, options: options ?? {}, fields }
}

export function array<const F extends Fields, const O extends FieldOptions = Record<never, never>>(
  versions: string,
  fields: F,
  options?: O,
): Field<Nullable<ValuesOf<F>[], O>, Nullable<readonly InputsOf<F>[], O>, IsOptional<O>> {
  return { kind: 'struct', isArray: true, versions, options: options ?? {}, fields }
}

export type Decode<T> = (reader: Reader) => T
export type Encode<T> = (writer: Writer, message: T) => void

/** A message layout and its codecs. */
export class Message<F extends Fields> {
  readonly name: string
  readonly versions: VersionRange
  readonly flexible: VersionRange
  readonly fields: F
  readonly #decoders: (Decode<ValuesOf<F>> | undefined)[] = []
  /** Not typed by `F`, so that any message can stand where a message of unknown fields is wanted. */
  readonly #encoders: (Encode<never> | undefined)[] = []

  constructor(name: string, versions: string, flexible: string, fields: F) {
    this.name = name
    this.versions = parseVersions(versions)
    this.flexible = parseVersions(flexible)
    this.fields = fields
  }

  /** @throws LMQ_PROTOCOL when the bytes do not follow the layout; bytes after the message are left alone */
  read(reader: Reader, version: number): ValuesOf<F> {
    const decoder = this.#decoders[version] ?? this.#compileDecoder(version)
    return decoder(reader)
  }

  /** @throws LMQ_PROTOCOL when a value has no place in this version */
  write(writer: Writer, message: InputsOf<F>, version: number): void {
    const encoder = this.#encoders[version] ?? this.#compileEncoder(version)
    encoder(writer, message as never)
  }

  /** @param end exclusive */
  decode(buffer: Buffer, version: number, start = 0, end = buffer.length): ValuesOf<F> {
    return this.read(new Reader(buffer, start, end), version)
  }

  encode(message: InputsOf<F>, version: number): Buffer {
    const writer = new Writer()
    try {
      this.write(writer, message, version)
      return writer.toBuffer()
    } finally {
      writer.release()
    }
  }

  #compileDecoder(version: number): Decode<ValuesOf<F>> {
    const decoder = compileDecoder<ValuesOf<F>>(this, version)
    this.#decoders[version] = decoder
    return decoder
  }

  #compileEncoder(version: number): Encode<never> {
    const encoder = compileEncoder<never>(this, version)
    this.#encoders[version] = encoder
    return encoder
  }
}

/** One API: a request and its response, which share versions. */
export type Api<Q extends Fields = Fields, S extends Fields = Fields> = {
  readonly key: number
  readonly name: string
  /** All versions that the schema can read and write; what a broker serves is its handler's business. */
  readonly versions: VersionRange
  readonly flexible: VersionRange
  readonly request: Message<Q>
  readonly response: Message<S>
}

export type RequestOf<A> = A extends Api<infer Q, Fields> ? ValuesOf<Q> : never
export type ResponseOf<A> = A extends Api<Fields, infer S> ? ValuesOf<S> : never
export type RequestInput<A> = A extends Api<infer Q, Fields> ? InputsOf<Q> : never
export type ResponseInput<A> = A extends Api<Fields, infer S> ? InputsOf<S> : never
/** A decoded message of `defineMessage`. */
export type MessageOf<M> = M extends Message<infer F> ? ValuesOf<F> : never
export type MessageInput<M> = M extends Message<infer F> ? InputsOf<F> : never

export function defineApi<const Q extends Fields, const S extends Fields>(definition: {
  key: number
  name: string
  versions: string
  flexible: string
  request: Q
  response: S
}): Api<Q, S> {
  const { key, name, versions, flexible, request, response } = definition
  return {
    key,
    name,
    versions: parseVersions(versions),
    flexible: parseVersions(flexible),
    request: new Message(`${name}Request`, versions, flexible, request),
    response: new Message(`${name}Response`, versions, flexible, response),
  }
}

/** A message that is not half of an API: a header, a record's key or value, a client's group metadata. */
export function defineMessage<const F extends Fields>(definition: {
  name: string
  versions: string
  flexible: string
  fields: F
}): Message<F> {
  return new Message(definition.name, definition.versions, definition.flexible, definition.fields)
}
