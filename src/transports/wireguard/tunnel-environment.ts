/** What a tunnel needs of its device. */
import type { Endpoint } from '../../core/machine.js'
import type { Random, Wall } from '../../core/ports.js'
import type { DeviceCounters } from './counters.js'
import type { NoiseCrypto, PrivateKey } from './crypto.js'
import type { DeviceEvent, DeviceTransmit } from './device-events.js'
import type { TimestampSource } from './tai64n.js'
import type { Tunnel } from './tunnel.js'

export interface TunnelEnvironment {
  readonly crypto: NoiseCrypto
  readonly random: Random
  readonly wall: Wall
  readonly timestamps: TimestampSource
  readonly privateKey: PrivateKey
  readonly counters: DeviceCounters
  readonly rekeyAfterMessages: number
  readonly rejectAfterMessages: number
  /** Where a message to a peer without an endpoint is going to be sent; undefined where nobody knows. */
  routeOf(peer: string, replyTo: Endpoint | undefined): Endpoint | undefined
  /** A random index, unique in the device, that from now on leads to this tunnel. */
  reserveIndex(tunnel: Tunnel): number
  releaseIndex(index: number): void
  /** The peer whose allowed addresses hold this one. */
  ownerOf(packet: Uint8Array, offset: number, addressLength: 4 | 16): Tunnel | undefined
  transmit(transmit: DeviceTransmit): void
  emit(event: DeviceEvent): void
}
