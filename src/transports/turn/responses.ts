/** What a TURN server's responses say, and undefined where they do not. */
import type { SocketAddress } from '../../core/machine.js'
import { readMappedAddress } from '../stun/attributes.js'
import { AttributeType } from '../stun/constants.js'
import { findAttribute, type Message } from '../stun/message.js'
import { readLifetime, readQuotedText, readXorAddress } from './attributes.js'
import { TurnAttributeType } from './constants.js'
import { printable } from './failures.js'

export interface Allocation {
  readonly relayed: SocketAddress
  readonly mapped: SocketAddress
  readonly lifetimeMs: number | undefined
}

export interface AlternateServer {
  readonly server: SocketAddress
  /** What its certificate is to say. */
  readonly domain: string | undefined
}

/** RFC 8656 section 7.4. @param family that the relayed address must have */
export function readAllocation(success: Message, family: 4 | 6): Allocation | undefined {
  const relayed = readXorAddress(success, TurnAttributeType.XorRelayedAddress)
  const mapped = readXorAddress(success, AttributeType.XorMappedAddress)
  if (relayed === undefined || mapped === undefined) return undefined
  if (relayed.address.includes(':') !== (family === 6)) return undefined
  return { relayed, mapped, lifetimeMs: lifetimeOf(success) }
}

export function lifetimeOf(success: Message): number | undefined {
  const value = findAttribute(success, TurnAttributeType.Lifetime)
  return value && readLifetime(value)
}

/** RFC 8489 sections 14.15 and 14.16. */
export function readAlternateServer(error: Message): AlternateServer | undefined {
  const value = findAttribute(error, TurnAttributeType.AlternateServer)
  const server = value && readMappedAddress(value)
  if (server === undefined || server.port === 0) return undefined
  const domain = findAttribute(error, TurnAttributeType.AlternateDomain)
  const name = domain && readQuotedText(domain)
  return { server, domain: name && printable(name) }
}
