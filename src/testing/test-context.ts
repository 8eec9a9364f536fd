import { randomBytes } from 'node:crypto'
import type { AdapterContext } from '../adapters/adapter-definition.js'

/** What an adapter gets from outside, with the real time and no log. */
export function testContext(onState: AdapterContext['onState'] = () => undefined): AdapterContext {
  return {
    onState,
    clock: {
      now: () => performance.now(),
      after: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs)
        return () => {
          clearTimeout(timer)
        }
      },
    },
    random: {
      bytes: (length) => new Uint8Array(randomBytes(length)),
      fraction: () => Math.random(),
    },
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  }
}

function ignore(): void {
  // Tests look at what an adapter does, not at what it says.
}
