import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/core/identity.js'
import { defaultRoomId, roomIdMatches, roomIdStrengthBits } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { type RoomSearchProgress, searchRoomKey } from '../../src/node/room-search.js'

describe('the search for a chosen room', () => {
  it('finds a key that may host it, on several cores', async () => {
    const signal = new AbortController().signal
    const seed = await searchRoomKey('c0f', { signal, onProgress: () => undefined, workers: 2 })
    const { publicKey } = identityFromSeed(crypto, seed)
    expect(seed).toHaveLength(32)
    expect(roomIdMatches(crypto, 'c0f', publicKey)).toBe(true)
  })

  it('says how far it is, and ends when it is aborted', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    const seen: RoomSearchProgress[] = []
    const onProgress = (progress: RoomSearchProgress): void => {
      seen.push(progress)
      if (progress.tried > 0) abort.abort(reason)
    }
    const search = searchRoomKey('0123456789abcdef0123', { signal: abort.signal, onProgress, workers: 1 })
    await expect(search).rejects.toBe(reason)
    expect(seen.at(-1)!.perSecond).toBeGreaterThan(0)
    await expect(searchRoomKey('c0f', { signal: abort.signal, onProgress })).rejects.toBe(reason)
  })
})

describe('the strength of a room id', () => {
  it('counts every place where it may stand', () => {
    expect(roomIdStrengthBits('0'.repeat(20))).toBeCloseTo(80 - Math.log2(109))
    expect(roomIdStrengthBits('0'.repeat(6))).toBeCloseTo(24 - Math.log2(123))
    expect(roomIdStrengthBits('0'.repeat(128))).toBe(512)
  })

  it('of the default is above what counts as weak', () => {
    const { publicKey } = identityFromSeed(crypto, new Uint8Array(32))
    expect(roomIdStrengthBits(defaultRoomId(crypto, publicKey))).toBeGreaterThan(64)
  })
})
