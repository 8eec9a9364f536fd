/** What may be said, and what a display name may be, in an entry. */
import { fromUtf8, utf8 } from '../core/encoding.js'

export const MaxTextBytes = 4096
/** 32 characters of at most 4 bytes. */
export const MaxNameBytes = 128
const MaxNameCharacters = 32

/** Whether a text is 1 to 4096 bytes of well-formed UTF-8, so that an entry can carry it. */
export function isEntryText(text: string): boolean {
  const bytes = utf8(text)
  // The encoder puts U+FFFD in the place of a lone surrogate.
  return bytes.length >= 1 && bytes.length <= MaxTextBytes && fromUtf8(bytes) === text
}

/**
 * Whether an entry with this name is valid. The rule uses character classes only that no version of Unicode
 * changes: replicas of unlike age must agree on which entries are valid, or their logs part for ever.
 */
export function isEntryName(name: string): boolean {
  const characters = Array.from(name).length
  return (
    characters >= 1 &&
    characters <= MaxNameCharacters &&
    !/[\p{Cc}\u2028\u2029:]/u.test(name) &&
    !name.startsWith('*')
  )
}
