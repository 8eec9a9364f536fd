import { describe, expect, it } from 'vitest'
import { ReplayBitmapBits } from '../../src/transports/wireguard/constants.js'
import { ReplayWindow } from '../../src/transports/wireguard/replay.js'
import { seededRandom } from './wireguard-net.js'

const WindowSize = ReplayBitmapBits - 32

describe('replay window', () => {
  it('accepts each counter once, from 0', () => {
    const window = new ReplayWindow()
    expect([0, 0, 1, 1, 5, 3, 5, 4, 3, 2, 2].map((counter) => window.accept(counter))).toEqual([
      true,
      false,
      true,
      false,
      true,
      true,
      false,
      true,
      false,
      true,
      false,
    ])
  })

  it('holds at least 2048 counters, and refuses what is older', () => {
    expect(WindowSize).toBeGreaterThanOrEqual(2048)
    const window = new ReplayWindow()
    const greatest = 100_000
    window.accept(greatest)
    expect(window.accept(greatest - WindowSize)).toBe(true)
    expect(window.accept(greatest - WindowSize - 1)).toBe(false)
    expect(window.accept(0)).toBe(false)
  })

  it('forgets nothing that it still needs when it jumps', () => {
    const window = new ReplayWindow()
    window.accept(1000)
    expect(window.accept(1000 + WindowSize - 100)).toBe(true)
    expect(window.accept(1000)).toBe(false)
    expect(window.accept(2 ** 53 - 1)).toBe(true)
    expect(window.accept(2 ** 53 - 1)).toBe(false)
    expect(window.accept(2 ** 53 - 2)).toBe(true)
    expect(window.accept(2 ** 53 - 2)).toBe(false)
    expect(window.accept(1001)).toBe(false)
  })

  it('agrees with a set of all counters seen', () => {
    const random = seededRandom(11)
    const window = new ReplayWindow()
    const seen = new Set<number>()
    let greatest = 0
    for (let i = 0; i < 50_000; i++) {
      const step = random.fraction() < 0.001 ? 20_000 : 20
      const counter = Math.max(0, greatest + Math.floor((random.fraction() - 0.4) * step))
      const expected = !seen.has(counter) && counter + WindowSize >= greatest
      expect(window.accept(counter)).toBe(expected)
      seen.add(counter)
      greatest = Math.max(greatest, counter)
    }
  })
})
