import { describe, expect, it } from 'vitest'
import { formatSocketAddress } from '../../src/core/machine.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { Calm, type Weather } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const outsider = { address: '203.0.113.66', port: 53 }
const Guests = 6

function packetsSeenByOutsider(weather: Weather, forMs: number): number {
  const simulated = new SimulatedRoom('outsiders', weather)
  const { internet } = simulated
  let seen = 0
  internet.onDatagram = (_source, { destination }) => {
    if (formatSocketAddress(destination) === formatSocketAddress(outsider)) seen += 1
  }
  simulated.startHost()
  const guests = Array.from({ length: Guests }, (_each, index) =>
    simulated.startGuest(`guest ${index}`, {
      make: (options) => new GuestRoom({ ...options, localAddresses: [outsider, ...options.localAddresses] }),
    }),
  )
  internet.runUntil('all have joined', 5000, () => guests.every((guest) => guest.of('joined').length > 0))
  internet.run(forMs)
  return seen
}

describe(`an outsider that ${Guests} guests name as their address`, () => {
  it('sees three packets in all', () => {
    expect(packetsSeenByOutsider(Calm, 600_000)).toBe(3)
  })

  it('sees one more a minute where they join again and again, since every tenth packet is lost', () => {
    const seen = packetsSeenByOutsider({ loss: 0.1, doubled: 0, delayMs: [5, 30] }, 300_000)
    expect(seen).toBeGreaterThanOrEqual(3)
    expect(seen).toBeLessThanOrEqual(3 + 5)
  })
})
