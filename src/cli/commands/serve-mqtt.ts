import { once } from 'node:events'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { localAddresses } from '../../node/interfaces.js'
import { serveMqtt as startBroker } from '../../node/serve-mqtt.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { parseListen } from '../listen.js'
import { safeJson } from '../output/safe-text.js'

/**
 * Runs a broker until SIGINT or SIGTERM.
 * @param listen `ip:port`; port 0 for any
 * @throws UsageError `listen-invalid`, `listen-failed`
 */
export async function serveMqtt(listen: string, options: GlobalOptions): Promise<void> {
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const broker = await startBroker(parseListen(listen))
  try {
    const [url, ...others] = urlsFor(broker.address)
    const words = [url, ...others].map((each) => `--signal mqtt --set adapters.mqtt.url=${each}`)
    process.stdout.write(
      options.json === true
        ? `${safeJson({ event: 'serving', server: 'mqtt', url })}\n`
        : `ready: an MQTT broker at ${formatSocketAddress(broker.address)}\n` +
            `peers use it with: ${words.join('\n               or: ')}\n`,
    )
    if (!leave.signal.aborted) await once(leave.signal, 'abort')
  } finally {
    await broker.close()
    stopListening()
  }
}

/** Where peers reach the broker: one that listens on all addresses is named by those that the machine has. */
function urlsFor({ address, port }: SocketAddress): readonly [string, ...string[]] {
  const url = (each: string): string => `mqtt://${formatSocketAddress({ address: each, port })}`
  if (address !== '0.0.0.0' && address !== '::') return [url(address)]
  const isV6 = address === '::'
  // An IPv6 socket on all addresses takes IPv4 connections too.
  const own = localAddresses(false).filter((each) => isV6 || !each.includes(':'))
  const [first = isV6 ? '::1' : '127.0.0.1', ...rest] = own
  return [url(first), ...rest.map(url)]
}
