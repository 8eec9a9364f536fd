/** The interface through which this machine's programs reach a room, as `network.mode` says. */
import type { IpInterface } from '../../core/ports.js'
import type { Config } from '../config/schema.js'
import { ipCommand } from './ip-command.js'
import { loadLibc } from './libc.js'
import { createTun, TunDevice, unsupported } from './tun-device.js'
import { TunInterface } from './tun-interface.js'

/**
 * @returns undefined in mode `userspace`, where programs have none
 * @throws UsageError `network-unsupported`, and those of `createTun`
 */
export async function openInterface({
  interface: name,
  mode,
  mtu,
}: Config['network']): Promise<IpInterface | undefined> {
  if (mode === 'userspace') return undefined
  if (process.platform !== 'linux') throw unsupported(process.platform)
  const device = new TunDevice(await loadLibc(), await createTun(name))
  return new TunInterface({ name, device, ip: ipCommand(), mtu, isShared: true })
}
