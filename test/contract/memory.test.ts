import { MemoryAdapter, MemoryBackend, memoryTraits } from '../../src/adapters/memory.js'
import { testSignallingAdapter } from './signalling-adapter.js'

testSignallingAdapter({
  name: 'memory',
  traits: memoryTraits,
  start: () => {
    let now = 0
    const backend = new MemoryBackend({ now: () => now, after: () => () => undefined })
    const settled = (): Promise<void> => Promise.resolve()
    return Promise.resolve({
      create: (onState) => {
        const adapter = new MemoryAdapter(backend, onState)
        return Promise.resolve({ adapter, die: () => adapter.close() })
      },
      backend: {
        stop: () => {
          backend.stop('switched off')
          return settled()
        },
        start: () => {
          backend.start()
          return settled()
        },
      },
      passTime: (delayMs) => {
        now += delayMs
        return settled()
      },
      close: settled,
    })
  },
})
