import type { Origin } from './config-error.js'

/** A configuration value that remembers where each of its parts was written. */
export type Located = LocatedSection | LocatedList | LocatedScalar

export interface LocatedSection {
  readonly kind: 'section'
  readonly origin: Origin
  readonly entries: readonly LocatedEntry[]
}

export interface LocatedEntry {
  readonly key: string
  readonly origin: Origin
  readonly value: Located
}

export interface LocatedList {
  readonly kind: 'list'
  readonly origin: Origin
  readonly items: readonly Located[]
}

export interface LocatedScalar {
  readonly kind: 'scalar'
  readonly origin: Origin
  /** A string, number, boolean or null. */
  readonly value: unknown
  /** As it was written: `5e1234` where `value` is Infinity. */
  readonly text: string
}

export function plainValue(located: Located): unknown {
  switch (located.kind) {
    case 'scalar':
      return located.value
    case 'list':
      return located.items.map(plainValue)
    case 'section':
      return Object.fromEntries(located.entries.map(({ key, value }) => [key, plainValue(value)]))
  }
}

/** Where the part at `path` below `located` was written; the nearest part around it where there is none. */
export function originWithin(located: Located, path: readonly PropertyKey[]): Origin {
  let at = located
  for (const step of path) {
    const next = childOf(at, step)
    if (next === undefined) break
    at = next
  }
  return at.origin
}

function childOf(located: Located, step: PropertyKey): Located | undefined {
  if (located.kind === 'list') return typeof step === 'number' ? located.items[step] : undefined
  if (located.kind === 'section') return located.entries.find(({ key }) => key === step)?.value
  return undefined
}

/** A value that a program made, such as the flags' object. Undefined members count as absent. */
export function locateValue(value: unknown, origin: Origin): Located {
  if (Array.isArray(value)) {
    return { kind: 'list', origin, items: value.map((item: unknown) => locateValue(item, origin)) }
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => ({ key, origin, value: locateValue(member, origin) }))
    return { kind: 'section', origin, entries }
  }
  return { kind: 'scalar', origin, value, text: String(value) }
}

/** `path` as nested sections around a value, all at the value's origin. */
export function nest(path: readonly string[], value: Located): Located {
  return path.reduceRight<Located>(
    (inner, key) => ({
      kind: 'section',
      origin: value.origin,
      entries: [{ key, origin: value.origin, value: inner }],
    }),
    value,
  )
}
