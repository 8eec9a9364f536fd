import { randomBytes, randomInt } from 'node:crypto'
import type { Clock, Random, Wall } from '../core/ports.js'

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => clearTimeout(timer)
  },
}

export const systemWall: Wall = { unixMs: () => Date.now() }

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  fraction: () => randomInt(2 ** 47) / 2 ** 47,
}
