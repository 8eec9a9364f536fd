/**
 * The handshake, Noise_IKpsk2 in both roles (WireGuard paper, section 5.4). The functions keep nothing: what
 * goes on from one message to the next is in the values they return. A message that does not authenticate
 * throws a DecodeError and changes nothing.
 */
import { DecodeError } from '../../core/errors.js'
import { Construction, Identifier } from './constants.js'
import type { NoiseCrypto, PrivateKey } from './crypto.js'
import { mac1Key, writeMac1 } from './macs.js'
import { type Initiation, initiationHeader, type Response, responseHeader } from './messages.js'
import { SymmetricState } from './symmetric-state.js'

const PublicKeyLength = 32
const PresharedKeyLength = 32

/** What a handshake with one peer is made with. */
export interface RemoteStatic {
  readonly publicKey: Uint8Array
  /** 32 bytes; zeros where there is none (section 5.2). */
  readonly presharedKey: Uint8Array
  /** Our static key's and theirs, computed once: it enters both roles' handshakes. */
  readonly staticStatic: Uint8Array
  readonly mac1Key: Uint8Array
}

/** An initiation of ours that waits for its response. */
export interface PendingInitiation {
  readonly sender: number
  readonly ephemeral: PrivateKey
  readonly state: SymmetricState
}

/** An initiation of a peer's: who says to have sent it. Its timestamp is not opened yet. */
export interface OpenedInitiation {
  readonly message: Initiation
  readonly publicKey: Uint8Array
  readonly state: SymmetricState
}

/** A finished handshake. */
export interface SessionKeys {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  readonly localIndex: number
  readonly remoteIndex: number
}

/**
 * @param publicKey the peer's, 32 bytes
 * @param presharedKey 32 bytes, or undefined for none
 * @throws DecodeError `wireguard-public-key` or `wireguard-preshared-key`
 */
export function createRemoteStatic(
  crypto: NoiseCrypto,
  local: PrivateKey,
  publicKey: Uint8Array,
  presharedKey: Uint8Array | undefined,
): RemoteStatic {
  if (publicKey.length !== PublicKeyLength) {
    throw new DecodeError('wireguard-public-key', 'A WireGuard public key is 32 bytes')
  }
  if (presharedKey !== undefined && presharedKey.length !== PresharedKeyLength) {
    throw new DecodeError('wireguard-preshared-key', 'A WireGuard preshared key is 32 bytes')
  }
  const key = Uint8Array.from(publicKey)
  return {
    publicKey: key,
    presharedKey:
      presharedKey === undefined ? new Uint8Array(PresharedKeyLength) : Uint8Array.from(presharedKey),
    staticStatic: agree(local, key),
    mac1Key: mac1Key(crypto, key),
  }
}

/**
 * First message (section 5.4.2).
 * @param sender our index for the session to come
 * @param timestamp TAI64N, 12 bytes, later than in all earlier ones to this peer
 */
export function createInitiation(
  crypto: NoiseCrypto,
  local: PrivateKey,
  remote: RemoteStatic,
  ephemeral: PrivateKey,
  sender: number,
  timestamp: Uint8Array,
): { readonly bytes: Uint8Array; readonly pending: PendingInitiation } {
  const bytes = initiationHeader(sender, ephemeral.publicKey)
  const state = start(crypto, remote.publicKey)
  state.mixHash(ephemeral.publicKey)
  state.mixKey(ephemeral.publicKey)
  mixAgreement(state, ephemeral, remote.publicKey)
  state.encryptAndHash(local.publicKey, bytes, 40)
  state.mixKey(remote.staticStatic)
  state.encryptAndHash(timestamp, bytes, 88)
  writeMac1(crypto, remote.mac1Key, bytes)
  return { bytes, pending: { sender, ephemeral, state } }
}

/**
 * The responder's first step: one key agreement, and it is known who this is to be from.
 * @throws DecodeError `wireguard-forged` or `wireguard-public-key`
 */
export function openInitiation(
  crypto: NoiseCrypto,
  local: PrivateKey,
  message: Initiation,
): OpenedInitiation {
  const state = start(crypto, local.publicKey)
  state.mixHash(message.ephemeral)
  state.mixKey(message.ephemeral)
  mixAgreement(state, local, message.ephemeral)
  return { message, publicKey: state.decryptAndHash(message.encryptedStatic), state }
}

/**
 * The responder's second step, which authenticates the initiation.
 * @returns the timestamp, 12 bytes, to compare with the greatest of this peer so far
 * @throws DecodeError `wireguard-forged`
 */
export function authenticateInitiation(opened: OpenedInitiation, remote: RemoteStatic): Uint8Array {
  opened.state.mixKey(remote.staticStatic)
  return opened.state.decryptAndHash(opened.message.encryptedTimestamp)
}

/**
 * Second message (section 5.4.3), to an initiation that was authenticated. Ends the opened initiation.
 * @param sender our index for the session
 */
export function createResponse(
  crypto: NoiseCrypto,
  remote: RemoteStatic,
  opened: OpenedInitiation,
  ephemeral: PrivateKey,
  sender: number,
): { readonly bytes: Uint8Array; readonly keys: SessionKeys } {
  const { message, state } = opened
  const bytes = responseHeader(sender, message.sender, ephemeral.publicKey)
  state.mixHash(ephemeral.publicKey)
  state.mixKey(ephemeral.publicKey)
  mixAgreement(state, ephemeral, message.ephemeral)
  mixAgreement(state, ephemeral, remote.publicKey)
  state.mixKeyAndHash(remote.presharedKey)
  state.encryptAndHash(new Uint8Array(0), bytes, 44)
  writeMac1(crypto, remote.mac1Key, bytes)
  const [receiveKey, sendKey] = state.split()
  return { bytes, keys: { sendKey, receiveKey, localIndex: sender, remoteIndex: message.sender } }
}

/**
 * The initiator's last step. The pending initiation stays as it was, for another response where this one is
 * forged; the caller wipes it.
 * @throws DecodeError `wireguard-forged` (also where the preshared keys differ) or `wireguard-public-key`
 */
export function consumeResponse(
  local: PrivateKey,
  remote: RemoteStatic,
  pending: PendingInitiation,
  message: Response,
): SessionKeys {
  const state = pending.state.clone()
  state.mixHash(message.ephemeral)
  state.mixKey(message.ephemeral)
  mixAgreement(state, pending.ephemeral, message.ephemeral)
  mixAgreement(state, local, message.ephemeral)
  state.mixKeyAndHash(remote.presharedKey)
  state.decryptAndHash(message.encryptedNothing)
  const [sendKey, receiveKey] = state.split()
  return { sendKey, receiveKey, localIndex: pending.sender, remoteIndex: message.sender }
}

function start(crypto: NoiseCrypto, responderPublicKey: Uint8Array): SymmetricState {
  const state = SymmetricState.initialize(crypto, Construction, new TextEncoder().encode(Identifier))
  state.mixHash(responderPublicKey)
  return state
}

function mixAgreement(state: SymmetricState, privateKey: PrivateKey, publicKey: Uint8Array): void {
  const shared = agree(privateKey, publicKey)
  state.mixKey(shared)
  shared.fill(0)
}

function agree(privateKey: PrivateKey, publicKey: Uint8Array): Uint8Array {
  const shared = privateKey.dh(publicKey)
  if (shared === undefined) {
    throw new DecodeError('wireguard-public-key', 'A WireGuard public key of small order')
  }
  return shared
}
