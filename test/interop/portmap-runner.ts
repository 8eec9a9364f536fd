/**
 * A port mapping in a process of its own, so that it can stand in a network namespace: says over the IPC channel
 * what is mapped, and what comes to the mapped port. Closed by any message.
 */
import { createSocket } from 'node:dgram'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { startPortMapping } from '../../src/node/port-mapping.js'

export type PortmapReport =
  | { readonly type: 'ready' }
  | { readonly type: 'log'; readonly fields: Record<string, unknown> | undefined }
  | { readonly type: 'mapped'; readonly address: string | undefined; readonly port: number | undefined }
  | { readonly type: 'received'; readonly text: string }
  | { readonly type: 'closed'; readonly ms: number }

const quiet = (): void => undefined
const socket = createSocket('udp4')
socket.on('message', (bytes) => report({ type: 'received', text: bytes.toString() }))
socket.bind(41_641, '0.0.0.0', () => {
  /** A minute passes in a second, for the waits of a minute and more: the RFCs' own stay as they are. */
  const clock = {
    now: () => systemClock.now(),
    after: (ms: number, callback: () => void) => systemClock.after(ms >= 50_000 ? ms / 60 : ms, callback),
  }
  const mapping = startPortMapping({
    port: 41_641,
    clock: process.argv[2] === 'fast' ? clock : systemClock,
    random: systemRandom,
    logger: { debug: (_, fields) => report({ type: 'log', fields }), info: quiet, warn: quiet, error: quiet },
    onMapped: (candidate) =>
      report({ type: 'mapped', address: candidate?.address.address, port: candidate?.address.port }),
  })
  process.once('message', () => {
    const began = performance.now()
    void mapping.close().then(async () => {
      await mapping.close()
      socket.close()
      report({ type: 'closed', ms: performance.now() - began })
      // Nothing of the mapping holds the process: it ends by itself.
      process.disconnect()
    })
  })
  report({ type: 'ready' })
})

function report(message: PortmapReport): void {
  process.send?.(message)
}
