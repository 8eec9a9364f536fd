/**
 * Which peers have a channel, and which are about to get one (RFC 8656 section 12): with it, a packet costs 4
 * bytes more, and not 36.
 */
import { earliest, formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { ChannelLifetime, ChannelRest, FirstChannelNumber, LastChannelNumber } from './constants.js'

/** How many packets to a peer make a channel worth its request. */
const PacketsBeforeBinding = 4
/** How long before its end a binding is asked for again, ms. */
const RefreshEarly = 60_000
/** After a request that nobody has answered, ms. */
const RetryMs = 5000
/** After a request that the server refused, ms. */
const RefusedMs = 60_000
const MaxChannels = 1024
/** Peers whose packets are counted, with a channel or without. */
const MaxPeers = 4096
const Numbers = LastChannelNumber - FirstChannelNumber + 1

export interface Channel {
  readonly number: number
  readonly peer: SocketAddress
}

interface BoundChannel extends Channel {
  /** Whether the server is being asked. */
  isAsked: boolean
  /** When to ask; undefined for not at all, as things are. */
  dueAt: number | undefined
  /** 0 where it is not bound. */
  boundUntil: number
  /** Whether something has passed since it was bound. */
  isUsed: boolean
  /** Not asked for before. */
  notBefore: number
  /** Until then its number means this peer and no other. */
  restUntil: number
}

interface Peer {
  packets: number
  channel: BoundChannel | undefined
}

export class Channels {
  readonly #peers = new Map<string, Peer>()
  readonly #byNumber = new Map<number, BoundChannel>()
  #nextNumber: number
  #nextDueAt: number | undefined

  constructor(random: Random) {
    this.#nextNumber = Math.floor(random.fraction() * Numbers)
  }

  /**
   * Counts a packet to a peer.
   * @returns its channel's number, or undefined where it has none
   */
  use(now: number, peer: SocketAddress): number | undefined {
    const entry = this.#peerOf(peer)
    entry.packets += 1
    const { channel } = entry
    if (channel !== undefined && channel.boundUntil > now) {
      channel.isUsed = true
      return channel.number
    }
    if (entry.packets >= PacketsBeforeBinding) this.#want(now, peer, entry)
    return undefined
  }

  /** Who is at the other end of a channel. Data can come before the server's word that it is bound. */
  peerOf(now: number, number: number): SocketAddress | undefined {
    const channel = this.#byNumber.get(number)
    if (channel === undefined) return undefined
    if (channel.boundUntil <= now && !channel.isAsked) return undefined
    channel.isUsed = true
    return channel.peer
  }

  /** What to ask the server for now. @param isWanted whether the peer is still permitted */
  takeDue(now: number, isWanted: (peer: SocketAddress) => boolean): readonly Channel[] {
    if (this.#nextDueAt === undefined || this.#nextDueAt > now) return []
    const due: Channel[] = []
    for (const channel of this.#byNumber.values()) {
      if (channel.dueAt === undefined || channel.dueAt > now) continue
      channel.dueAt = undefined
      // Nobody needs it: it ends by itself.
      if (!channel.isUsed || !isWanted(channel.peer)) continue
      channel.isAsked = true
      channel.restUntil = now + ChannelLifetime + ChannelRest
      due.push(channel)
    }
    this.#findNextDue()
    return due
  }

  bound(now: number, number: number): void {
    this.#answered(number, (channel) => {
      channel.boundUntil = now + ChannelLifetime
      channel.restUntil = channel.boundUntil + ChannelRest
      channel.dueAt = channel.boundUntil - RefreshEarly
      channel.isUsed = false
    })
  }

  unanswered(now: number, number: number): void {
    this.#answered(number, (channel) => (channel.dueAt = now + RetryMs))
  }

  refused(now: number, number: number): void {
    this.#answered(number, (channel) => (channel.notBefore = now + RefusedMs))
  }

  /** The allocation is gone, and all bindings with it; their numbers rest. */
  reset(): void {
    for (const channel of this.#byNumber.values()) {
      channel.boundUntil = 0
      channel.isAsked = false
      channel.dueAt = undefined
      channel.notBefore = 0
    }
    this.#nextDueAt = undefined
  }

  pollTimeout(): number | undefined {
    return this.#nextDueAt
  }

  #want(now: number, peer: SocketAddress, entry: Peer): void {
    entry.channel ??= this.#newChannel(now, peer)
    const { channel } = entry
    if (channel === undefined || channel.isAsked || channel.dueAt !== undefined || channel.notBefore > now)
      return
    channel.isUsed = true
    channel.dueAt = now
    this.#nextDueAt = earliest(this.#nextDueAt, now)
  }

  /** Undefined where there are too many. */
  #newChannel(now: number, peer: SocketAddress): BoundChannel | undefined {
    if (this.#byNumber.size >= MaxChannels) this.#forgetRested(now)
    if (this.#byNumber.size >= MaxChannels) return undefined
    let number = this.#nextNumber
    // One is free, since there are four times as many numbers as channels.
    while (this.#byNumber.has(FirstChannelNumber + number)) number = (number + 1) % Numbers
    this.#nextNumber = (number + 1) % Numbers
    const channel: BoundChannel = {
      number: FirstChannelNumber + number,
      // The caller's object may have more in it, and belongs to the caller.
      peer: { address: peer.address, port: peer.port },
      isAsked: false,
      dueAt: undefined,
      boundUntil: 0,
      isUsed: true,
      notBefore: 0,
      restUntil: now + ChannelLifetime + ChannelRest,
    }
    this.#byNumber.set(channel.number, channel)
    return channel
  }

  /** Frees the numbers that may mean another peer now. */
  #forgetRested(now: number): void {
    for (const { number, peer, isAsked, dueAt, restUntil } of this.#byNumber.values()) {
      if (isAsked || dueAt !== undefined || restUntil > now) continue
      this.#byNumber.delete(number)
      this.#peers.delete(formatSocketAddress(peer))
    }
  }

  #peerOf(peer: SocketAddress): Peer {
    const key = formatSocketAddress(peer)
    const known = this.#peers.get(key)
    if (known !== undefined) return known
    if (this.#peers.size >= MaxPeers) this.#forgetOldestPeer()
    const entry: Peer = { packets: 0, channel: undefined }
    this.#peers.set(key, entry)
    return entry
  }

  /** Of those without a channel: there are fewer channels than peers. */
  #forgetOldestPeer(): void {
    for (const [key, { channel }] of this.#peers) {
      if (channel !== undefined) continue
      this.#peers.delete(key)
      return
    }
  }

  #answered(number: number, change: (channel: BoundChannel) => void): void {
    const channel = this.#byNumber.get(number)
    if (channel === undefined) return
    channel.isAsked = false
    change(channel)
    this.#findNextDue()
  }

  #findNextDue(): void {
    this.#nextDueAt = undefined
    for (const { dueAt } of this.#byNumber.values()) this.#nextDueAt = earliest(this.#nextDueAt, dueAt)
  }
}
