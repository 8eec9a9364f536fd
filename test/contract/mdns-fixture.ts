/**
 * mdns adapters for tests, on loopback only. There is no server that could stop: what stops is the network.
 * Each adapter hangs on a cable of its own; everything behind the cable is real.
 */
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { MdnsAdapter } from '../../src/adapters/mdns/adapter.js'
import { type LinkInterface, linkInterfaces } from '../../src/adapters/mdns/interfaces.js'
import type { Network } from '../../src/adapters/mdns/link.js'
import { LinkSocket } from '../../src/adapters/mdns/link-socket.js'
import type { AdapterState } from '../../src/core/signalling-adapter.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import type { AdapterFixture } from './signalling-adapter.js'

export const Loopback = '127.0.0.1'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

export function mdnsContext(
  onState: (state: AdapterState) => void,
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

/** A way to the network that can be cut: packets are lost, or the interface goes away. */
export class Cable implements Network {
  /** Nothing gets through, in either direction, and nobody is told. */
  isCut = false
  /** The machine has no interface any more. */
  isUnplugged = false

  interfaces(): readonly LinkInterface[] {
    return this.isUnplugged ? [] : linkInterfaces(Loopback)
  }

  makeSocket(options: ConstructorParameters<typeof LinkSocket>[0]): LinkSocket {
    const passes = (): boolean => !this.isCut && !this.isUnplugged
    const isWanted: typeof options.isWanted = (...args) => passes() && options.isWanted(...args)
    return new (class extends LinkSocket {
      override send(...args: Parameters<LinkSocket['send']>): void {
        if (passes()) super.send(...args)
        else process.nextTick(() => args[5](null))
      }
    })({ ...options, isWanted })
  }
}

export function mdnsFixture(): AdapterFixture {
  const cables = new Set<Cable>()
  let isStopped = false
  const done = (): Promise<void> => Promise.resolve()
  const set = (change: (cable: Cable) => void) => (): Promise<void> => {
    for (const cable of cables) change(cable)
    return done()
  }
  return {
    create: (onState) => {
      const cable = new Cable()
      cable.isUnplugged = isStopped
      cables.add(cable)
      const adapter = new MdnsAdapter({ interface: Loopback }, mdnsContext(onState), cable)
      const die = async (): Promise<void> => {
        cable.isCut = true
        cables.delete(cable)
        await adapter.close()
      }
      return Promise.resolve({ adapter, die })
    },
    backend: {
      stop: () => {
        isStopped = true
        return set((cable) => (cable.isUnplugged = true))()
      },
      start: () => {
        isStopped = false
        return set((cable) => {
          cable.isCut = false
          cable.isUnplugged = false
        })()
      },
      hang: set((cable) => (cable.isCut = true)),
    },
    close: done,
  }
}
