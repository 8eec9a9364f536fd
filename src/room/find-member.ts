import { UsageError } from '../core/errors.js'

/** Somebody that a person can name. */
export interface Named {
  readonly name: string
  /** Public key, base64. */
  readonly key: string
  readonly address?: string
}

/** Fewer characters of a key name nobody. */
const KeyCharactersMin = 6

/**
 * Whom a person means by a name, an overlay address, or a key or the beginning of one.
 * @throws UsageError `member-unknown`, `member-ambiguous`
 */
export function findMember<T extends Named>(members: readonly T[], who: string): T {
  const keyStart = who.length >= KeyCharactersMin ? who : undefined
  const byKey = members.filter(({ key }) => keyStart !== undefined && key.startsWith(keyStart))
  const named = members.filter(({ name, address }) => name === who || address === who)
  const found = [...new Set([...named, ...byKey])]
  const [only] = found
  if (only === undefined) {
    const names = members.map(({ name }) => name).slice(0, 10)
    throw new UsageError('member-unknown', `There is nobody here called ${who}`, {
      advice: names.length > 0 ? `There are: ${names.join(', ')}` : 'See who is there with gonet members',
    })
  }
  if (found.length === 1) return only
  throw new UsageError('member-ambiguous', `${who} can be ${found.length} members`, {
    advice: `Give a key instead: ${found.map(({ name, key }) => `${name} ${key}`).join(', ')}`,
  })
}
