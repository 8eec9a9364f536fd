/** The mqtt backend as the registry knows it: cheap to import, nothing of the MQTT library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { explain } from '../../core/errors.js'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { parseBrokerUrl } from './broker-url.js'
import { mqttTraits } from './traits.js'

export interface MqttOptions {
  /** Brokers, all used at once, at least one. */
  readonly url: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
  /** Paths of PEM files. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The first levels of every topic. */
  readonly prefix: string
}

/** Public brokers, for when nothing is configured. */
const DefaultBrokers: readonly string[] = [
  'mqtts://broker.hivemq.com:8883',
  'mqtts://broker.emqx.io:8883',
  'mqtts://test.mosquitto.org:8886',
]

const brokerUrl = z.string().check(
  z.check<string>((context) => {
    try {
      parseBrokerUrl(context.value)
    } catch (error) {
      context.issues.push({ code: 'custom', message: explain(error), input: context.value })
    }
  }),
)

const options: $ZodType<MqttOptions> = z.strictObject({
  url: z._default(
    described(
      z.array(brokerUrl),
      'Brokers, all used at once: mqtt://host:port, mqtts://host:port, ws://host/path or wss://host/path.',
    ).check(z.minLength(1, 'at least one broker is needed')),
    [...DefaultBrokers],
  ),
  username: z.optional(described(z.string(), 'Who we are to the broker.')),
  password: z.optional(described(z.string(), 'The password; better in a file.')),
  passwordFile: z.optional(described(z.string(), 'A file that holds the password on one line.')),
  ca: z.optional(described(z.string(), 'Certificate authorities to trust instead of the usual, a PEM file.')),
  cert: z.optional(described(z.string(), 'Our certificate, a PEM file.')),
  key: z.optional(described(z.string(), "The certificate's private key, a PEM file.")),
  prefix: z._default(
    described(z.string(), 'First level of every topic.').check(
      z.regex(/^[^+#/$\s\0][^+#\0]{0,127}$/, 'expected 1 to 128 characters without +, # or a leading / or $'),
    ),
    'gonet',
  ),
})

export const mqtt: AdapterDefinition<MqttOptions> = {
  name: 'mqtt',
  description: 'MQTT brokers, public ones or your own: push, and a beacon that the broker keeps',
  traits: mqttTraits,
  options,
  create: async (chosen, context) => {
    const { MqttAdapter } = await import('./adapter.js')
    return new MqttAdapter(chosen, context)
  },
  loopbackOnly: ({ url }) => url.every(isOnLoopback),
}

function isOnLoopback(url: string): boolean {
  try {
    return isLoopbackHost(parseBrokerUrl(url).host)
  } catch {
    return false
  }
}
