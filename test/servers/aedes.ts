import { type MqttBroker, serveMqtt } from '../../src/node/serve-mqtt.js'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

/** gonet's own broker (MQTT 3.1.1), which can be stopped and started again on its port. */
export async function startAedes(): Promise<TestServer> {
  const port = await freePort()
  const listen = (): Promise<MqttBroker> => serveMqtt({ address: '127.0.0.1', port })
  let broker = await listen()
  return {
    port,
    stop: () => broker.close(),
    start: async () => {
      await broker.close()
      broker = await listen()
    },
    close: () => broker.close(),
  }
}
