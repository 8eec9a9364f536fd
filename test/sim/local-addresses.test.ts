import { expect, it } from 'vitest'
import { Calm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

it('a guest whose network comes up after it was started tells the host where it is', () => {
  const simulated = new SimulatedRoom('late network', Calm)
  const { internet } = simulated
  const host = simulated.startHost()
  const guest = simulated.startGuest('guest')
  const { address } = guest
  internet.input(guest, (machine, now) => machine.setLocalAddresses(now, []))
  internet.input(host, (machine, now) => machine.setLocalAddresses(now, []))
  internet.run(2000)
  expect(guest.of('joined')).toEqual([])
  internet.input(guest, (machine, now) => machine.setLocalAddresses(now, [address]))
  internet.runUntil('joined', 5000, () => guest.of('joined').length > 0)
})
