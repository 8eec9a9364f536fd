/**
 * Texts by strangers, made harmless: no escape sequence, control character or reordering of text reaches a
 * terminal, or whatever reads a pipe.
 */

/** What some readers take for the end of a line. */
const LineBreaks = /\r\n|[\n\v\f\u0085\u2028\u2029]/u
const Unsafe = /[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/gu
const UnsafeInJson = /[\u007f-\u009f\u2028\u2029]|\p{Bidi_Control}/gu

/** The lines of a text, each harmless. */
export function safeLines(text: string): string[] {
  return text.split(LineBreaks).map(safeLine)
}

/** A text on one line, harmless: control characters turn into their pictures (U+2400 and on). */
export function safeLine(text: string): string {
  return text.replaceAll('\t', '    ').replace(Unsafe, picture)
}

/** JSON on one line, its unsafe characters escaped: whoever parses it gets the very same text. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    UnsafeInJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function picture(character: string): string {
  const code = character.charCodeAt(0)
  if (code < 0x20) return String.fromCharCode(0x2400 + code)
  return code === 0x7f ? '\u2421' : '\ufffd'
}
