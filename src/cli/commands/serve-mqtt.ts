import { once } from 'node:events'
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
    const { url } = broker
    process.stdout.write(
      options.json === true
        ? `${safeJson({ event: 'serving', server: 'mqtt', url })}\n`
        : `ready: an MQTT broker at ${url}\n` +
            `peers use it with: --signal mqtt --set adapters.mqtt.url=${url}\n`,
    )
    if (!leave.signal.aborted) await once(leave.signal, 'abort')
  } finally {
    await broker.close()
    stopListening()
  }
}
