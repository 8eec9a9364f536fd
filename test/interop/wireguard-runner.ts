/**
 * A WireGuard device with the userspace stack behind it on a real socket, in a process of its own, so that it
 * can stand in a network namespace. Told what to do, and tells what happens, over the IPC channel.
 */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { earliest } from '../../src/core/machine.js'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import { UserspaceStack } from '../../src/transports/ip/stack.js'
import { Device } from '../../src/transports/wireguard/device.js'
import { mac1Key, writeMac1 } from '../../src/transports/wireguard/macs.js'
import { InitiationLength, MessageType } from '../../src/transports/wireguard/messages.js'

export interface RunnerOptions {
  /** In base64, as wg has them. */
  readonly secretKey: string
  readonly peerPublicKey: string
  readonly presharedKey?: string
  readonly listen: { readonly address: string; readonly port: number }
  readonly endpoint: { readonly address: string; readonly port: number }
  readonly addresses: readonly string[]
  readonly allowedAddresses: readonly string[]
  readonly rekeyAfterMessages?: number
  readonly persistentKeepaliveMs?: number
  /** Whether our device asks for cookies always. */
  readonly underLoad?: boolean
}

export type RunnerReport =
  | { readonly type: 'ready' }
  | { readonly type: 'session' }
  /** A datagram came: the type of its WireGuard message, and whether it answers the flood. */
  | { readonly type: 'received'; readonly message: number; readonly flood: boolean }
  | { readonly type: 'echo'; readonly address: string; readonly answered: boolean }

export type RunnerCommand =
  | { readonly ping: string }
  /** Begins to send forged initiations with the right mac1, faster than they can be computed with. */
  | { readonly flood: true }

const options = JSON.parse(process.argv[2] ?? '') as RunnerOptions
const random = {
  bytes: (length: number): Uint8Array => new Uint8Array(randomBytes(length)),
  fraction: (): number => randomBytes(4).readUInt32LE() / 2 ** 32,
}
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const now = (): number => performance.now()

const device = new Device({
  secretKey: fromBase64(options.secretKey),
  crypto: nodeNoiseCrypto,
  random,
  wall: { unixMs: () => Date.now() },
  ...(options.rekeyAfterMessages !== undefined && { rekeyAfterMessages: options.rekeyAfterMessages }),
  ...(options.underLoad === true && { load: { isUnderLoad: () => true } }),
})
device.addPeer(now(), {
  id: 'peer',
  publicKey: fromBase64(options.peerPublicKey),
  allowedAddresses: options.allowedAddresses,
  endpoint: options.endpoint,
  ...(options.presharedKey !== undefined && { presharedKey: fromBase64(options.presharedKey) }),
  ...(options.persistentKeepaliveMs !== undefined && {
    persistentKeepaliveMs: options.persistentKeepaliveMs,
  }),
})
const stack = new UserspaceStack({ addresses: options.addresses, mtu: 1420, random })
const socket = createSocket('udp4')
let timer: NodeJS.Timeout | undefined

socket.on('message', (bytes, { address, port }) => {
  report({ type: 'received', message: bytes[0] ?? 0, flood: false })
  device.handleDatagram(now(), { address, port }, bytes)
  drain()
})
process.on('message', (command: RunnerCommand) => {
  if ('flood' in command) flood()
  else stack.ping(now(), command.ping)
  drain()
})
process.on('disconnect', () => process.exit())
socket.bind(options.listen.port, options.listen.address, () => {
  report({ type: 'ready' })
  drain()
})

function drain(): void {
  for (let event = device.pollEvent(); event !== undefined; event = device.pollEvent()) {
    if (event.type === 'packet') stack.handlePacket(now(), event.bytes)
    else if (event.type === 'session') report({ type: 'session' })
  }
  for (let event = stack.pollEvent(); event !== undefined; event = stack.pollEvent()) {
    if (event.type === 'datagram') continue
    report({ type: 'echo', address: event.address, answered: event.type === 'echo-reply' })
  }
  for (let packet = stack.pollTransmit(); packet !== undefined; packet = stack.pollTransmit()) {
    device.send(now(), packet)
  }
  for (let out = device.pollTransmit(); out !== undefined; out = device.pollTransmit()) {
    if (out.replyTo !== undefined) socket.send(out.bytes, out.replyTo.port, out.replyTo.address)
  }
  const deadline = earliest(device.pollTimeout(), stack.pollTimeout())
  clearTimeout(timer)
  timer = deadline === undefined ? undefined : setTimeout(handleTimeout, Math.max(0, deadline - now()))
}

function handleTimeout(): void {
  device.handleTimeout(now())
  stack.handleTimeout(now())
  drain()
}

function flood(): void {
  const { address } = options.listen
  const flooder = createSocket('udp4')
  flooder.on('message', (bytes) => report({ type: 'received', message: bytes[0] ?? 0, flood: true }))
  const key = mac1Key(nodeNoiseCrypto, fromBase64(options.peerPublicKey))
  const forged = Array.from({ length: 500 }, () => {
    const message = new Uint8Array(InitiationLength)
    message.set(random.bytes(112), 4)
    message[0] = MessageType.Initiation
    writeMac1(nodeNoiseCrypto, key, message)
    return message
  })
  flooder.bind(0, address, () => {
    setInterval(() => {
      for (const message of forged) flooder.send(message, options.endpoint.port, options.endpoint.address)
    }, 50)
  })
}

function report(message: RunnerReport): void {
  process.send?.(message)
}
