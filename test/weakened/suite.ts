/**
 * That the attack tests bite. Each defence of a table is taken away in turn, and the test that shows its attack
 * to fail must fail then, by an assertion of its own: without the defence, the attack succeeds.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { occurrences, WeakenedProgram } from './weakened-program.js'
import type { Weakening } from './weakening.js'

/** What a program throws that is broken rather than weakened, and what says no more than that something hangs. */
const ProvesNothing = /^(?:TypeError|ReferenceError|SyntaxError):|^Error: Test timed out/

export function weakenedSuite(tables: Readonly<Record<string, readonly Weakening[]>>): void {
  let program: WeakenedProgram

  beforeAll(async () => {
    program = await WeakenedProgram.open()
  })
  afterAll(() => program.close())

  describe.each(Object.entries(tables))('%s: without the rule that', (_name, weakenings) => {
    it.each(weakenings.map((weakening) => [weakening.rule, weakening] as const))(
      '%s',
      async (_rule, weakening) => {
        expect(occurrences(weakening)).toBe(1)
        const outcomes = await program.attack(weakening)
        expect(outcomes).not.toEqual([])
        for (const { state, errors } of outcomes) {
          expect(state).toBe('failed')
          for (const error of errors) expect(error).not.toMatch(ProvesNothing)
        }
      },
      60_000,
    )
  })
}
