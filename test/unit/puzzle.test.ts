/** The puzzle of joins, how hard it is, and the sample of what waits: each alone. */
import { describe, expect, it } from 'vitest'
import { MaxPuzzleBits, PuzzleSolver, puzzleOf, solvedBits, withSolution } from '../../src/core/puzzle.js'
import { PuzzleLevel } from '../../src/core/puzzle-level.js'
import { Reservoir } from '../../src/core/reservoir.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('puzzle')
const record = random.bytes(849)
const seal = random.bytes(32)
const puzzle = puzzleOf(crypto, '0000000100c0ffee', seal, record)

describe('a puzzle', () => {
  it('is another for any other epoch, sealing key or sealed join, and the same for any solution', () => {
    const changed = Uint8Array.from(record)
    changed[100]! ^= 1
    expect(puzzleOf(crypto, '0000000100c0ffef', seal, record)).not.toEqual(puzzle)
    expect(puzzleOf(crypto, '0000000100c0ffee', random.bytes(32), record)).not.toEqual(puzzle)
    expect(puzzleOf(crypto, '0000000100c0ffee', seal, changed)).not.toEqual(puzzle)
    const solved = withSolution(record, random.bytes(8))
    expect(puzzleOf(crypto, '0000000100c0ffee', seal, solved)).toEqual(puzzle)
  })

  it('is solved a bounded number of tries at a time, and what was found counts when more is asked', () => {
    const hashes = { count: 0, sha256: (bytes: Uint8Array) => crypto.sha256((hashes.count++, bytes)) }
    const solver = new PuzzleSolver(hashes, puzzle)
    expect(solver.solve(0, 10)).toBe(true)
    expect(hashes.count).toBe(0)
    expect(solver.solve(12, 10)).toBe(false)
    expect(hashes.count).toBe(10)
    while (!solver.solve(12, 100));
    const tried = hashes.count
    expect(solvedBits(crypto, puzzle, withSolution(record, solver.solution))).toBeGreaterThanOrEqual(12)
    expect(solver.solve(8, 100)).toBe(true)
    expect(hashes.count).toBe(tried)
    while (!solver.solve(14, 100));
    expect(hashes.count).toBeGreaterThan(tried)
  })
})

describe('its level', () => {
  const second = (level: PuzzleLevel, from: number, records: number, bitsOf: () => number): void => {
    let solved = 0
    for (let index = 0; index < records; index += 1) {
      const now = from + (1000 * index) / records
      const bits = bitsOf()
      level.handleTimeout(now)
      level.count(now, bits)
      if (bits < level.bits) continue
      solved += 1
      if (solved > 500) level.overflow(now)
    }
  }
  const unsolved = (): number => Math.floor(-Math.log2(1 - random.fraction()))

  it('is 0 while nothing is lost, however much comes, and then nothing has to be woken', () => {
    const level = new PuzzleLevel()
    for (let now = 0; now < 4000; now += 1) level.count(now, 0)
    expect(level.handleTimeout(4000)).toBe(false)
    expect(level.bits).toBe(0)
    expect(level.pollTimeout()).toBeUndefined()
  })

  it('rises at once, in one step as far as it takes, and never beyond what a guest can solve', () => {
    const level = new PuzzleLevel()
    second(level, 0, 10_000, unsolved)
    expect(level.bits).toBe(8)
    const solving = new PuzzleLevel()
    for (let time = 0; time < 3; time += 1) second(solving, time * 1000, 10_000, () => 8 + unsolved())
    expect(solving.bits).toBeGreaterThanOrEqual(14)
    for (let time = 3; time < 20; time += 1) second(solving, time * 1000, 10_000, () => 60)
    expect(solving.bits).toBe(MaxPuzzleBits)
  })

  it('changes every 2 s at most', () => {
    const level = new PuzzleLevel()
    const changes: number[] = []
    for (let now = 0; now < 10_000; now += 1) {
      level.count(now, 60)
      if (level.overflow(now)) changes.push(now)
    }
    for (const [index, at] of changes.entries()) {
      if (index > 0) expect(at - changes[index - 1]!).toBeGreaterThanOrEqual(2000)
    }
    expect(changes.length).toBeGreaterThan(1)
  })

  it('stays while the flood would come back, and falls to 0 in calm', () => {
    const level = new PuzzleLevel()
    let time = 0
    for (; time < 40; time += 1) second(level, time * 1000, 5000, unsolved)
    expect(level.bits).toBeGreaterThanOrEqual(7)
    const end = (time + 60) * 1000
    for (let due = level.pollTimeout(); due !== undefined && due < end; due = level.pollTimeout()) {
      level.handleTimeout(due)
    }
    expect(level.bits).toBe(0)
    expect(level.pollTimeout()).toBeUndefined()
  })
})

describe('a reservoir', () => {
  it('keeps so many and no more, of which each that came had the same chance', () => {
    const kept = new Array<number>(10).fill(0)
    for (let round = 0; round < 200; round += 1) {
      const reservoir = new Reservoir<number>(50, random)
      for (let index = 0; index < 1000; index += 1) reservoir.offer(String(index), index)
      expect(reservoir.size).toBe(50)
      for (let taken = reservoir.take(); taken !== undefined; taken = reservoir.take()) {
        kept[Math.floor(taken[1] / 100)]! += 1
      }
    }
    // 1000 are expected in each tenth, with a standard deviation of some 30.
    for (const count of kept) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })

  it('gives back each once, and knows what it has', () => {
    const reservoir = new Reservoir<number>(3, random)
    expect([1, 2, 3, 4].map((each) => reservoir.offer(String(each), each))).toEqual([true, true, true, false])
    const taken = new Set<string>()
    for (let next = reservoir.take(); next !== undefined; next = reservoir.take()) {
      expect(taken.has(next[0])).toBe(false)
      expect(reservoir.get(next[0])).toBeUndefined()
      taken.add(next[0])
    }
    expect(taken.size).toBe(3)
    expect(reservoir.size).toBe(0)
    expect(reservoir.take()).toBeUndefined()
  })
})
