/** IPv4 and IPv6 of this machine: its addresses, its way to the internet, and whether UDP works. */
import { createSocket, type Socket } from 'node:dgram'
import { abortable } from '../../adapters/waiting.js'
import { explain, UsageError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { defaultGateways } from '../gateway.js'
import { localAddresses } from '../interfaces.js'
import { openUdpSocket } from '../udp-socket.js'
import { bounded, failed, Late, type Row } from './row.js'

export interface NetworkCheckOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly limitMs: number
}

interface Family {
  readonly version: 4 | 6
  readonly loopback: string
  /** Of documentation: nothing is ever sent there. */
  readonly somewhere: string
}

const Families: readonly Family[] = [
  { version: 4, loopback: '127.0.0.1', somewhere: '192.0.2.1' },
  { version: 6, loopback: '::1', somewhere: '2001:db8::1' },
]

/** @throws what `signal` is aborted with */
export function checkNetwork(options: NetworkCheckOptions): Promise<readonly Row[]> {
  return Promise.all(Families.map((family) => checkFamily(family, options)))
}

/** Whether the one port that is configured can be had. @returns nothing where any port will do */
export async function checkPort(port: number): Promise<readonly Row[]> {
  if (port === 0) return []
  const what = `UDP port ${port}`
  try {
    await (await openUdpSocket(4, port)).close()
    return [{ what, state: 'ok', detail: 'can be had' }]
  } catch (error) {
    const advice =
      'A gonet that runs has it, which is fine; else choose another with transport.port, or 0 for any'
    return [{ what, state: 'warn', detail: explain(error), advice }]
  }
}

async function checkFamily(family: Family, options: NetworkCheckOptions): Promise<Row> {
  const { version } = family
  const what = `IPv${version}`
  const addresses = localAddresses(false).filter((each) => each.includes(':') === (version === 6))
  const [udp, hasRoute] = await Promise.all([
    bounded(options.limitMs, options, (signal) => tryUdp(family, signal)).catch((error: unknown) => {
      options.signal.throwIfAborted()
      return error instanceof Late ? 'what is sent to itself does not arrive' : explain(error)
    }),
    isRouted(family),
  ])
  const gateway = defaultGateways().find((each) => each.family === version)
  const facts = { addresses: addresses.join(' '), gateway: gateway?.address ?? null, udp: udp === undefined }
  if (udp !== undefined) {
    const detail = `no UDP socket works: ${udp}`
    // Without IPv6 there is a room all the same.
    if (version === 6) return { what, state: 'skipped', detail, facts }
    const error = new UsageError('udp-port', detail, {
      advice: 'A room needs UDP sockets: see what forbids them',
    })
    return { ...failed(what, error), facts }
  }
  const route = !hasRoute
    ? 'no default route'
    : gateway === undefined
      ? 'a default route'
      : `default route by ${gateway.address} (${gateway.device})`
  if (addresses.length === 0) {
    const detail = `no address but loopback's; ${route}`
    return { what, state: version === 6 ? 'skipped' : 'warn', detail, facts }
  }
  const detail = `${addresses.join(' ')}; ${route}; UDP works`
  const isFine = hasRoute || version === 6
  const advice = isFine ? undefined : 'Only members on the same network can be reached'
  return { what, state: isFine ? 'ok' : 'warn', detail, advice, facts }
}

/** Sends itself a datagram. @returns why that fails */
async function tryUdp({ version, loopback }: Family, signal: AbortSignal): Promise<string | undefined> {
  const socket = await openUdpSocket(version, 0)
  try {
    const arrived = new Promise<void>((resolve) => socket.onDatagram(() => resolve()))
    socket.send(Uint8Array.of(0), { address: loopback, port: socket.local.port })
    await abortable(arrived, signal)
    return undefined
  } finally {
    await socket.close()
  }
}

/** Whether the system knows a way to the internet. Connecting sends nothing. */
function isRouted({ version, somewhere }: Family): Promise<boolean> {
  let socket: Socket
  return new Promise((resolve) => {
    socket = createSocket(version === 4 ? 'udp4' : 'udp6')
    const end = (found: boolean): void => {
      socket.removeAllListeners()
      socket.on('error', () => undefined)
      socket.close(() => resolve(found))
    }
    socket.once('error', () => end(false))
    socket.once('connect', () => end(true))
    socket.connect(9, somewhere)
  })
}
