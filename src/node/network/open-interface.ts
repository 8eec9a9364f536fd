/** The interface through which programs reach a room, as `network.mode` says. */
import type { IpInterface } from '../../core/ports.js'
import type { Config } from '../config/schema.js'
import { ipCommand } from './ip-command.js'
import { loadLibc } from './libc.js'
import { createNamespace, insideNamespace } from './namespace.js'
import { createTun, TunDevice, unsupported } from './tun-device.js'
import { TunInterface } from './tun-interface.js'

/**
 * @returns undefined in mode `userspace`, where programs have none
 * @throws UsageError `network-unsupported`, and those of `createTun` and `createNamespace`
 */
export async function openInterface({
  interface: name,
  mode,
  mtu,
}: Config['network']): Promise<IpInterface | undefined> {
  if (mode === 'userspace') return undefined
  if (process.platform !== 'linux') throw unsupported(process.platform)
  const libc = await loadLibc()
  if (mode === 'tun') {
    const device = new TunDevice(libc, await createTun(name))
    return new TunInterface({ name, device, ip: ipCommand(), mtu })
  }
  const namespace = await createNamespace(name)
  const device = new TunDevice(libc, namespace.descriptor)
  return new TunInterface({ name, device, ip: ipCommand(insideNamespace(namespace.pid)), mtu, namespace })
}
