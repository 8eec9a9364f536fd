/** A defence, the program without it, and the attack that has to succeed then. */
export interface Weakening {
  /** What the defence says, as a sentence. */
  readonly rule: string
  /** The file below src that has it. */
  readonly source: string
  /** Its text there, which must stand there once: else nobody would notice that it has moved. */
  readonly defence: string
  /** What stands there instead. */
  readonly weakened: string
  /** The test that shows the attack to fail: its file below test, and its full name. */
  readonly attack: readonly [file: string, test: string]
}
