import { expect, it } from 'vitest'
import { Calm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

/** `npm run sim` has 200, which takes longer than a test may. */
const Guests = Number(process.env['GONET_GUESTS'] ?? 50)

it(`a room of ${Guests} guests is up in 5 s, and has what each of them says exactly once soon after`, () => {
  const simulated = new SimulatedRoom('many guests', Calm)
  const { internet } = simulated
  const host = simulated.startHost()
  const guests = Array.from({ length: Guests }, (_, index) => simulated.startGuest(`guest ${index}`))
  const all = [host, ...guests]
  internet.runUntil('all have joined', 5000, () => guests.every((guest) => guest.of('joined').length > 0))
  const texts: string[] = []
  for (const by of all) {
    texts.push(`${by.name} says hello`)
    internet.post(by, `${by.name} says hello`)
    internet.run(20)
  }
  internet.runUntil('everything is delivered', 6000, () =>
    all.every(({ machine }) => machine.undelivered === 0),
  )
  for (const { name, texts: shown } of all) {
    expect(shown.toSorted()).toEqual(texts.filter((text) => text !== `${name} says hello`).toSorted())
  }
  expect(new Set(host.machine.members.map(({ address }) => address)).size).toBe(all.length)
}, 300_000)
