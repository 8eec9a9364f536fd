/**
 * Names that people take for one another. A *skeleton*, after UTS 39 section 4, is what is left of a name when
 * all that hardly shows is taken away: names with one skeleton look alike. Unlike UTS 39's, ours folds case and
 * Latin accents too, since it only marks names and forbids none; its table has the letters of Cyrillic, Greek,
 * Armenian and Cherokee that look like Latin ones, and what passes for another within ASCII, instead of all
 * 6,000 rows of confusables.txt.
 */

/** What looks like the letter in front, of the letters that NFKD does not bring to it. Lower case, but for `l`. */
const Confusable: readonly string[] = [
  'aаαɑ',
  'bьвƅᏏЬβ',
  'cсϲᏟ',
  'dԁᏧɗ',
  'eеєεҽℯ',
  'fғſϝ',
  'gɡԍցǥ',
  'hһհнᏂ',
  'jјϳ',
  'kкκᏦ',
  'l1iі|!ιӏІIӀıᎥ¡ןł',
  'nпηոռɴ',
  'oо0οσօ٥۵๐໐०০øө',
  'pрρ',
  'qԛգ',
  'rгᴦɾ',
  's5ѕꜱƽ',
  'tтτŧ',
  'uυսʋ',
  'vνѵ',
  'wѡԝωա',
  'xхχ',
  'yуүγყ',
  'zᴢʐ',
  '3зʒӡҙ',
  'mм',
]

const Prototype: ReadonlyMap<string, string> = new Map(
  Confusable.flatMap((row) => {
    const [letter = '', ...others] = Array.from(row)
    return others.map((other) => [other, letter] as const)
  }),
)

/** Two names look alike if their skeletons are the same. Not for display. */
export function skeleton(name: string): string {
  const visible = name
    .normalize('NFKD')
    // Zero width, fillers, variation selectors; accents; spaces and what parts words as they do.
    .replace(/[\p{Default_Ignorable_Code_Point}\u0300-\u036f\p{Zs}\u2800._\-‐-―'’`]/gu, '')
  // I and l look alike in capitals only: before those turn into small letters.
  const folded = Array.from(visible, (character) => Prototype.get(character) ?? character.toLowerCase())
  return Array.from(folded.join(''), (character) => Prototype.get(character) ?? character)
    .join('')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
}

/** For each name the first of the others that it looks like, or undefined where it looks like none. */
export function lookAlikes(names: readonly string[]): readonly (string | undefined)[] {
  const skeletons = names.map(skeleton)
  const first = new Map<string, number>()
  const second = new Map<string, number>()
  for (const [index, each] of skeletons.entries()) {
    if (!first.has(each)) first.set(each, index)
    else if (!second.has(each)) second.set(each, index)
  }
  return skeletons.map((each, index) => {
    const other = first.get(each) === index ? second.get(each) : first.get(each)
    return other === undefined ? undefined : names[other]
  })
}

/** The first of other names that a name looks like. */
export function lookAlike(name: string, others: readonly string[]): string | undefined {
  const own = skeleton(name)
  return others.find((other) => skeleton(other) === own)
}
