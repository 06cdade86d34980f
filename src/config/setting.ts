/**
 * One setting: how its text is read, bounded, documented and described. Texts and refusals are those of Kafka's
 * ConfigDef, since clients and tools show them. Nothing here knows a setting by name.
 */

/** Kafka's types, as DescribeConfigs names them. */
export type SettingType =
  | 'boolean'
  | 'string'
  | 'int'
  | 'short'
  | 'long'
  | 'double'
  | 'list'
  | 'class'
  | 'password'

/** `ConfigType` of a DescribeConfigs answer. */
export const configTypeIds: Readonly<Record<SettingType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
}

/**
 * How a broker setting may change while the broker runs. `read-only`: not at all; `per-broker`: on one broker;
 * `cluster-wide`: on one broker or as the cluster's default. Topic, group and client-metrics settings always may.
 */
export type UpdateMode = 'read-only' | 'per-broker' | 'cluster-wide'

/** A text that was understood, with its canonical form, or the sentence that refuses it. */
export type Reading<Value> =
  | { readonly refusal?: undefined; readonly value: Value; readonly text: string }
  | { readonly refusal: string }

export type Setting<Value = unknown> = {
  readonly type: SettingType
  readonly default: Value
  /** The default as DescribeConfigs shows it; null when the setting has none. */
  readonly defaultText: string | null
  /** Never throws. `name` is used in the refusal only. */
  readonly read: (name: string, text: string) => Reading<Value>
  /** What may stand here, in one phrase: `>= 1`, `one of: a, b`. Empty when anything of the type may. */
  readonly valid: string
  /** One or two sentences: meaning and unit. */
  readonly about: string
  readonly update: UpdateMode
  /** False: known, accepted and described, but nothing in this broker reads it. */
  readonly used: boolean
  /** Accepted, but left out of descriptions and listings. */
  readonly internal: boolean
  /** Names of broker settings that give a topic or group setting its default; the first that is set wins. */
  readonly synonyms: readonly string[]
}

/** What every setting may say about itself. */
export type About = {
  about: string
  update?: UpdateMode
  used?: boolean
  internal?: boolean
  synonyms?: readonly string[]
}

type WithNull<Value, Default> = null extends Default ? Value | null : Value
type Default<Value> = { default: Value | null }
type Bounds = { min?: number; max?: number }

/** Kafka's Long.MAX_VALUE: as a number it saturates at 2^53-1, its text is kept. */
export const LONG_MAX = Number.MAX_SAFE_INTEGER
export const INT_MAX = 2_147_483_647
const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

const invalid = (name: string, value: string, reason: string): { refusal: string } => ({
  refusal: `Invalid value ${value} for configuration ${name}: ${reason}`,
})

function make<Value>(
  type: SettingType,
  value: Value,
  defaultText: string | null,
  valid: string,
  about: About,
  read: (name: string, text: string) => Reading<Value>,
): Setting<Value> {
  return {
    type,
    default: value,
    defaultText,
    read,
    valid,
    about: about.about,
    update: about.update ?? 'read-only',
    used: about.used ?? true,
    internal: about.internal ?? false,
    synonyms: about.synonyms ?? [],
  }
}

type IntegerType = 'short' | 'int' | 'long'
const BLANK = 0x20

const integerRange: Readonly<Record<IntegerType, readonly [bigint, bigint]>> = {
  short: [-32_768n, 32_767n],
  int: [-2_147_483_648n, 2_147_483_647n],
  long: [INT64_MIN, INT64_MAX],
}

/** Control characters go, too, and no other white space than the blank does. */
function trimmedAsInJava(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= BLANK) start++
  while (end > start && text.charCodeAt(end - 1) <= BLANK) end--
  return text.slice(start, end)
}

function readInteger(type: IntegerType, name: string, text: string): Reading<number> {
  const trimmed = trimmedAsInJava(text)
  const [least, most] = integerRange[type]
  // 64 digits are far beyond int64 and keep BigInt from chewing on a megabyte.
  const whole =
    /^[+-]?\d{1,64}$/.test(trimmed) && trimmed !== '' ? BigInt(trimmed.replace(/^\+/, '')) : null
  if (whole === null || whole < least || whole > most) {
    return invalid(name, text, `Not a number of type ${type.toUpperCase()}`)
  }
  const value = Number(whole)
  const saturated = Math.max(-LONG_MAX, Math.min(LONG_MAX, value))
  return { value: saturated, text: whole.toString() }
}

function boundsText({ min, max }: Bounds): string {
  if (min !== undefined && max !== undefined) return `[${min}..${max}]`
  if (min !== undefined) return `>= ${min}`
  return max === undefined ? '' : `<= ${max}`
}

function checkBounds(name: string, value: number, text: string, { min, max }: Bounds) {
  if (min !== undefined && value < min) {
    return invalid(name, text, `Value must be at least ${min}`)
  }
  if (max !== undefined && value > max) {
    return invalid(name, text, `Value must be no more than ${max}`)
  }
  return undefined
}

type IntegerOptions<D> = Default<number> & { default: D } & Bounds & About & { or?: number }

function integer<D extends number | null>(
  type: IntegerType,
  options: IntegerOptions<D>,
): Setting<WithNull<number, D>> {
  const { or } = options
  const text =
    options.default === null
      ? null
      : type === 'long' && options.default === LONG_MAX
        ? INT64_MAX.toString()
        : String(options.default)
  const valid = boundsText(options) + (or === undefined ? '' : ` or ${or}`)
  return make<number | null>(type, options.default, text, valid, options, (name, given) => {
    const reading = readInteger(type, name, given)
    if (reading.refusal !== undefined || reading.value === or) return reading
    const refusal = checkBounds(name, reading.value, reading.text, options)
    if (refusal && or !== undefined) {
      const range = `Value must be between ${options.min} and ${options.max} or equal to ${or}`
      return invalid(name, reading.text, range)
    }
    return refusal ?? reading
  }) as Setting<WithNull<number, D>>
}

export const int = <D extends number | null>(options: IntegerOptions<D>) => integer('int', options)
export const short = <D extends number | null>(options: IntegerOptions<D>) =>
  integer('short', options)
export const long = <D extends number | null>(options: IntegerOptions<D>) =>
  integer('long', options)

type SizedOptions<D> = IntegerOptions<D> & { type?: 'int' | 'long' }

/** Milliseconds (unless the setting's name ends in another unit). */
export const duration = <D extends number | null>(options: SizedOptions<D>) =>
  integer(options.type ?? 'long', options)

/** A size in bytes. */
export const bytes = <D extends number | null>(options: SizedOptions<D>) =>
  integer(options.type ?? 'long', options)

export function bool(options: { default: boolean } & About): Setting<boolean> {
  return make('boolean', options.default, String(options.default), '', options, (name, text) => {
    const word = trimmedAsInJava(text).toLowerCase()
    if (word === 'true' || word === 'false') return { value: word === 'true', text: word }
    return invalid(name, text, 'Expected value to be either true or false')
  })
}

/** As Java's Double.toString writes it: `0.5`, `3.0`, `1.0E7`. */
export function javaDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  const size = Math.abs(value)
  if (size === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  if (size >= 1e-3 && size < 1e7) {
    const plain = String(value)
    return plain.includes('.') ? plain : `${plain}.0`
  }
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`
}

export function double(options: { default: number } & Bounds & About): Setting<number> {
  const valid = boundsText(options)
  const defaultText = javaDouble(options.default)
  return make('double', options.default, defaultText, valid, options, (name, text) => {
    const plain = trimmedAsInJava(text)
    if (!/^[+-]?(NaN|Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[fFdD]?)$/.test(plain)) {
      return invalid(name, text, 'Not a number of type DOUBLE')
    }
    const value = Number(plain.replace(/[fFdD]$/, ''))
    return (
      checkBounds(name, value, javaDouble(value), options) ?? { value, text: javaDouble(value) }
    )
  })
}

type StringOptions<D> = {
  default: D
  /** A sentence that refuses the (trimmed) text, or undefined. */
  check?: (text: string) => string | undefined
  valid?: string
} & About

function text<D extends string | null>(
  type: 'string' | 'class' | 'password',
  options: StringOptions<D>,
): Setting<WithNull<string, D>> {
  const { valid = '' } = options
  return make<string | null>(
    type,
    options.default,
    options.default,
    valid,
    options,
    (name, raw) => {
      const value = trimmedAsInJava(raw)
      const reason = options.check?.(value)
      return reason === undefined ? { value, text: value } : invalid(name, value, reason)
    },
  ) as Setting<WithNull<string, D>>
}

export const string = <D extends string | null>(options: StringOptions<D>) =>
  text('string', options)
export const className = <D extends string | null>(options: StringOptions<D>) =>
  text('class', options)
/** Never described: DescribeConfigs answers null and calls it sensitive. */
export const password = (options: { default: null } & About) => text<null>('password', options)

export function oneOf<Choice extends string>(
  choices: readonly Choice[],
  options: { default: NoInfer<Choice>; anyCase?: boolean } & About,
): Setting<Choice> {
  const valid = `one of: ${choices.join(', ')}`
  return make<Choice>('string', options.default, options.default, valid, options, (name, raw) => {
    const plain = trimmedAsInJava(raw)
    const same = (choice: Choice): boolean =>
      options.anyCase ? choice.toLowerCase() === plain.toLowerCase() : choice === plain
    const value = choices.find(same)
    if (value !== undefined) return { value, text: plain }
    return invalid(name, plain, `String must be one of: ${choices.join(', ')}`)
  })
}

type ListOptions<Item extends string, D> = {
  default: D
  /** The only items there may be. */
  of?: readonly Item[]
  notEmpty?: boolean
  check?: (items: readonly string[]) => string | undefined
  valid?: string
} & About

/** Comma-separated. A repeated item counts once, as in Kafka 4.2+. */
export function list<
  const Item extends string = string,
  D extends readonly NoInfer<Item>[] | null = readonly NoInfer<Item>[],
>(options: ListOptions<Item, D>): Setting<WithNull<readonly Item[], D>> {
  const { of, check, notEmpty } = options
  const valid = options.valid ?? (of ? `any of: ${of.join(', ')}` : notEmpty ? 'not empty' : '')
  const defaultText = options.default === null ? null : options.default.join(',')
  const read = (name: string, raw: string): Reading<readonly Item[] | null> => {
    const plain = trimmedAsInJava(raw)
    const items = plain === '' ? [] : plain.split(/\s*,\s*/)
    const refuse = (reason: string): Reading<never> => ({
      refusal: `Configuration '${name}' ${reason}`,
    })
    if (items.length === 0 && notEmpty) {
      const named = of ? `[${of.join(', ')}]` : 'any non-empty value'
      return refuse(`must not be empty. Valid values include: ${named}`)
    }
    if (items.some((item) => item === '')) return refuse('values must not be empty.')
    const stranger = of && items.find((item) => !(of as readonly string[]).includes(item))
    if (stranger !== undefined) {
      return invalid(name, stranger, `String must be one of: ${of?.join(', ')}`)
    }
    const reason = check?.(items)
    if (reason !== undefined) return invalid(name, `[${items.join(', ')}]`, `${name} ${reason}`)
    const value = [...new Set(items)] as Item[]
    return { value, text: value.join(',') }
  }
  const made = make<readonly Item[] | null>(
    'list',
    options.default,
    defaultText,
    valid,
    options,
    read,
  )
  return made as Setting<WithNull<readonly Item[], D>>
}
