/** How many columns of a terminal a text takes (UAX #11, with emoji as terminals draw them). */

const Zero = /^[\p{M}\p{Cf}\p{Cc}]$/u
const Wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}/u
const EmojiSelector = '\ufe0f'

/** Columns of one grapheme, as `graphemes` returns it: 0, 1 or 2. */
export function graphemeWidth(grapheme: string): number {
  if (grapheme.includes(EmojiSelector)) return 2
  let width = 0
  for (const character of grapheme) {
    if (Wide.test(character)) return 2
    if (!Zero.test(character)) width = 1
  }
  return width
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** What people take for single characters. */
export function graphemes(text: string): string[] {
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}
