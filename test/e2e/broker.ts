import type { Workbench } from './workbench.js'

/** Starts gonet's own broker on loopback. */
export async function startBroker(workbench: Workbench): Promise<{ readonly url: string }> {
  const broker = workbench.start('serve', 'mqtt', '--listen', '127.0.0.1:0', '--json')
  const { url } = JSON.parse(await broker.line(/"serving"/)) as { url: string }
  return { url }
}
