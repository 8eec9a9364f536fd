/** MQTT adapters for tests, each behind a line of its own that can be cut. */
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type MqttOptions, mqtt } from '../../src/adapters/mqtt/definition.js'
import type { Logger } from '../../src/core/ports.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { startTcpRelay, type TcpRelay } from '../servers/tcp-relay.js'
import type { TestServer } from '../servers/test-server.js'
import type { AdapterFixture } from './signalling-adapter.js'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export function mqttContext(
  onState: AdapterContext['onState'],
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

export interface MqttFixtureOptions extends Partial<Omit<MqttOptions, 'url'>> {
  readonly scheme?: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  /** Lets the broker look like one that does not know MQTT 5. */
  readonly onlyOldMqtt?: boolean
}

/** Answers MQTT 5 as an older broker does (MQTT 3.1.1 section 3.2.2.3). */
export function onlyOldMqtt(first: Buffer): Uint8Array | undefined {
  const protocolLevel = first[8]
  return protocolLevel === 5 ? Uint8Array.of(0x20, 2, 0, 1) : undefined
}

/** @param options what differs from the defaults */
export function mqttFixture(
  server: TestServer,
  { scheme = 'mqtt', onlyOldMqtt: isOld = false, ...options }: MqttFixtureOptions = {},
): AdapterFixture {
  const relays: TcpRelay[] = []
  return {
    create: async (onState) => {
      const relay = await startTcpRelay(server.port, isOld ? { intercept: onlyOldMqtt } : {})
      relays.push(relay)
      const url = [`${scheme}://127.0.0.1:${relay.port}`]
      const adapter = await mqtt.create({ prefix: 'gonet', ...options, url }, mqttContext(onState))
      const die = async (): Promise<void> => {
        await relay.close()
        await adapter.close()
      }
      return { adapter, die }
    },
    backend: {
      stop: () => server.stop(),
      start: () => server.start(),
      hang: () => {
        for (const relay of relays) relay.stall()
        return Promise.resolve()
      },
    },
    close: async () => {
      await Promise.all(relays.map((relay) => relay.close()))
      await server.close()
    },
  }
}
