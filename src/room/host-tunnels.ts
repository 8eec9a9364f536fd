/**
 * A host's tunnels: one a join, so that a rejoin stands beside the tunnel that it will replace. Each epoch has
 * a WireGuard device of its own, which stays for as long as it has tunnels.
 */
import type { KeyPair } from '../core/ports.js'
import type { IceCredentials } from '../transports/path/credentials.js'
import type { Device } from '../transports/wireguard/device.js'
import type { TunnelBinding } from './admission/binding.js'
import { PathEvents } from './path-events.js'
import type { RemotePeer, Underlay } from './underlay.js'

/** A tunnel that does not come up in this time is forgotten: its guest can join again. */
const SetupMs = 60_000
/** Tunnels that are being set up. Where there are more, the oldest gives way: its guest joins again. */
const MaxPending = 512

/** Whose tunnel it is, and what its member is called and has as its address once it is up. */
export interface TunnelMember {
  readonly publicKey: Uint8Array
  readonly name: string
  readonly address: string
  /** The id of the invite that its join has proved, where it has. */
  readonly invite: string | undefined
  /** What the join and its answer have agreed on. */
  readonly binding: TunnelBinding
}

export interface Tunnel extends TunnelMember {
  /** The underlay's name for the peer. */
  readonly id: string
  readonly device: Device
  readonly paths: PathEvents
}

export class HostTunnels {
  readonly #underlay: Underlay
  readonly #byId = new Map<string, Tunnel>()
  /** Until when each that is not up yet may take, the earliest first. */
  readonly #pending = new Map<Tunnel, number>()
  /** How many tunnels each device has. */
  readonly #uses = new Map<Device, number>()
  #device: Device | undefined

  constructor(underlay: Underlay) {
    this.#underlay = underlay
  }

  /** Makes later tunnels with another WireGuard key. */
  beginEpoch(now: number, wireguard: KeyPair): void {
    const before = this.#device
    this.#device = this.#underlay.addDevice(wireguard)
    this.#uses.set(this.#device, 0)
    if (before !== undefined) this.#removeUnused(now, before)
  }

  get(id: string): Tunnel | undefined {
    return this.#byId.get(id)
  }

  /**
   * Prepares a tunnel for a guest that was welcomed.
   * @param addresses those that lead to it from now on; may be empty
   */
  add(
    now: number,
    id: string,
    member: TunnelMember,
    peer: {
      readonly ice: IceCredentials
      readonly remote: RemotePeer
      readonly addresses: readonly string[]
    },
  ): void {
    const device = this.#device
    if (device === undefined) return
    const [oldest] = this.#pending.keys()
    if (oldest !== undefined && this.#pending.size >= MaxPending) this.remove(now, oldest)
    const local = { device, ice: peer.ice, initiator: false }
    if (!this.#underlay.addPeer(now, id, local, peer.remote, peer.addresses)) return
    const tunnel = { ...member, id, device, paths: new PathEvents() }
    this.#byId.set(id, tunnel)
    this.#pending.set(tunnel, now + SetupMs)
    this.#uses.set(device, (this.#uses.get(device) ?? 0) + 1)
  }

  /** Notes that a tunnel is up. @returns false where it was already */
  establish(tunnel: Tunnel): boolean {
    return this.#pending.delete(tunnel)
  }

  remove(now: number, tunnel: Tunnel): void {
    if (!this.#byId.delete(tunnel.id)) return
    this.#pending.delete(tunnel)
    this.#underlay.removePeer(now, tunnel.id)
    const { device } = tunnel
    this.#uses.set(device, (this.#uses.get(device) ?? 0) - 1)
    this.#removeUnused(now, device)
  }

  handleTimeout(now: number): void {
    for (const [tunnel, expiresAt] of this.#pending) {
      if (now < expiresAt) return
      this.remove(now, tunnel)
    }
  }

  pollTimeout(): number | undefined {
    const [first] = this.#pending.values()
    return first
  }

  #removeUnused(now: number, device: Device): void {
    if (device === this.#device || this.#uses.get(device) !== 0) return
    this.#uses.delete(device)
    this.#underlay.removeDevice(now, device)
  }
}
