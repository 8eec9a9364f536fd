/** What a TURN client asks of its server, and what each request is for. */
import type { SocketAddress } from '../../core/machine.js'
import { encodeMessage } from '../stun/message.js'
import {
  channelNumberAttribute,
  dataAttribute,
  lifetimeAttribute,
  requestedAddressFamilyAttribute,
  requestedTransportAttribute,
  xorPeerAddressAttribute,
} from './attributes.js'
import { Allocate, ChannelBind, CreatePermission, DefaultLifetime, Refresh, Send } from './constants.js'
import type { Request } from './transactions.js'

/** `clear`: frees an allocation of a life before. `close`: frees ours. */
export type AllocationPurpose =
  | { readonly kind: 'allocate' }
  | { readonly kind: 'refresh' }
  | { readonly kind: 'clear' }
  | { readonly kind: 'close' }
export type PeerPurpose =
  | { readonly kind: 'permission'; readonly addresses: readonly string[] }
  | { readonly kind: 'channel'; readonly number: number }
export type Purpose = AllocationPurpose | PeerPurpose

/** A join waits for the allocation, so that its requests are sent again sooner than others, ms. */
const AllocateRto = 250
/** How often a refresh is sent: it gives up after 15.5 s. */
const RefreshAttempts = 5
const CloseAttempts = 3

/** RFC 8656 section 7.1. @param family of the relayed address */
export function allocateRequest(family: 4 | 6): Request<Purpose> {
  return {
    method: Allocate,
    purpose: { kind: 'allocate' },
    rto: AllocateRto,
    attributes: () => [
      requestedTransportAttribute(),
      lifetimeAttribute(DefaultLifetime),
      ...familyAttributes(family),
    ],
  }
}

/** RFC 8656 section 8.1: keeps the allocation alive. */
export function refreshRequest(family: 4 | 6): Request<Purpose> {
  return { ...refresh({ kind: 'refresh' }, family, DefaultLifetime), attempts: RefreshAttempts }
}

/** Frees the allocation: a lifetime of 0. */
export function closeRequest(family: 4 | 6): Request<Purpose> {
  return { ...refresh({ kind: 'close' }, family, 0), attempts: CloseAttempts, rto: AllocateRto }
}

/** Frees what may be on this port from a life before; sent once, since another try for ours follows anyway. */
export function clearRequest(family: 4 | 6): Request<Purpose> {
  return { ...refresh({ kind: 'clear' }, family, 0), attempts: 1 }
}

/** RFC 8656 section 10.1: the port of a peer means nothing there. */
export function permissionRequest(addresses: readonly string[]): Request<Purpose> {
  return {
    method: CreatePermission,
    purpose: { kind: 'permission', addresses },
    attributes: (id) => addresses.map((address) => xorPeerAddressAttribute({ address, port: 0 }, id)),
  }
}

/** RFC 8656 section 12.1. */
export function channelRequest(number: number, peer: SocketAddress): Request<Purpose> {
  return {
    method: ChannelBind,
    purpose: { kind: 'channel', number },
    attributes: (id) => [channelNumberAttribute(number), xorPeerAddressAttribute(peer, id)],
  }
}

/** RFC 8656 section 11.1. */
export function sendIndication(transactionId: Uint8Array, peer: SocketAddress, data: Uint8Array): Uint8Array {
  const attributes = [xorPeerAddressAttribute(peer, transactionId), dataAttribute(data)]
  return encodeMessage({ class: 'indication', method: Send, transactionId, attributes })
}

function refresh(purpose: AllocationPurpose, family: 4 | 6, lifetimeMs: number): Request<Purpose> {
  return {
    method: Refresh,
    purpose,
    attributes: () => [lifetimeAttribute(lifetimeMs), ...familyAttributes(family)],
  }
}

/** Without it an address is an IPv4 one, which servers without IPv6 understand. */
function familyAttributes(family: 4 | 6): ReturnType<typeof requestedAddressFamilyAttribute>[] {
  return family === 6 ? [requestedAddressFamilyAttribute(6)] : []
}
