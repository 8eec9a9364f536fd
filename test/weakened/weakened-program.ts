/** The tests of the program, run against a program that was weakened in one place. No file is changed. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createVitest, type Vitest } from 'vitest/node'
import type { Weakening } from './weakening.js'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** How an attack test ended. */
export interface Outcome {
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending'
  /** What failed, as `Name: message`. */
  readonly errors: readonly string[]
}

export class WeakenedProgram {
  readonly #vitest: Vitest
  readonly #current: { weakening: Weakening | undefined }

  static async open(): Promise<WeakenedProgram> {
    const current: { weakening: Weakening | undefined } = { weakening: undefined }
    const vitest = await createVitest(
      'test',
      // One server for all of them: what is not weakened is compiled once.
      { root, watch: false, reporters: [{}], pool: 'threads', maxWorkers: 1, testTimeout: 10_000 },
      {
        plugins: [
          {
            name: 'weakening',
            enforce: 'pre',
            transform: (code, id) => {
              const { weakening } = current
              if (weakening === undefined || id !== pathOf(weakening)) return undefined
              return { code: code.replace(weakening.defence, () => weakening.weakened), map: null }
            },
          },
        ],
      },
    )
    return new WeakenedProgram(vitest, current)
  }

  private constructor(vitest: Vitest, current: { weakening: Weakening | undefined }) {
    this.#vitest = vitest
    this.#current = current
  }

  /** Runs the attack test of a weakening, and no other test. */
  async attack(weakening: Weakening): Promise<readonly Outcome[]> {
    const [file, name] = weakening.attack
    const vitest = this.#vitest
    const before = process.exitCode
    this.#current.weakening = weakening
    vitest.invalidateFile(pathOf(weakening))
    vitest.setGlobalTestNamePattern(new RegExp(`^${escaped(name.replaceAll(' > ', ' '))}$`))
    try {
      const specification = vitest.getRootProject().createSpecification(join(root, 'test', file))
      const { testModules, unhandledErrors } = await vitest.runTestSpecifications([specification])
      if (unhandledErrors.length > 0)
        throw new Error('the attack failed outside of its test', { cause: unhandledErrors })
      const tests = testModules.flatMap((module) => [...module.children.allTests()])
      return tests
        .filter(({ fullName }) => fullName === name)
        .map((test) => {
          const { state, errors = [] } = test.result()
          return { state, errors: errors.map((error) => `${error.name ?? 'Error'}: ${error.message}`) }
        })
    } finally {
      vitest.invalidateFile(pathOf(weakening))
      this.#current.weakening = undefined
      // A run with failures sets it, and here they are what is wanted.
      process.exitCode = before
    }
  }

  async close(): Promise<void> {
    await this.#vitest.close()
  }
}

/** How often a defence's text stands in its file. */
export function occurrences(weakening: Weakening): number {
  return readFileSync(pathOf(weakening), 'utf8').split(weakening.defence).length - 1
}

function pathOf({ source }: Weakening): string {
  return join(root, 'src', source)
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
