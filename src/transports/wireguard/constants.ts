/**
 * The constants of the WireGuard paper (J. A. Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel",
 * 2017, version of 2020-06-01) by their names there, and below them those of this implementation. Times are in
 * milliseconds.
 */

/** Section 5.4: the Noise protocol name; its hash is the first chaining key. */
export const Construction = 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'
/** Section 5.4: hashed into the handshake as Noise's prologue. */
export const Identifier = 'WireGuard v1 zx2c4 Jason@zx2c4.com'
/** Section 5.4.4. */
export const LabelMac1 = 'mac1----'
/** Section 5.4.7. */
export const LabelCookie = 'cookie--'

/**
 * Section 6.1 has 2^60. Lower here, so that counters are exact in a double: at ten million packets a second it
 * takes fourteen years to get there.
 */
export const RekeyAfterMessages: number = 2 ** 52
/** Section 6.1 has 2^64 - 2^13 - 1; see RekeyAfterMessages. */
export const RejectAfterMessages: number = 2 ** 53 - 2 ** 13 - 1
/** Section 6.1: only the initiator of a session renews it by time. */
export const RekeyAfterTimeMs = 120_000
/** Section 6.1: an older session neither sends nor receives. */
export const RejectAfterTimeMs = 180_000
/** Section 6.1: how long an unanswered handshake is tried again. */
export const RekeyAttemptTimeMs = 90_000
/** Section 6.1: how long one initiation waits for its response. */
export const RekeyTimeoutMs = 5_000
/** Section 6.1: how long a receiver of data may stay silent. */
export const KeepaliveTimeoutMs = 10_000
/** Sections 5.4.4 and 5.4.7: how long a cookie is good, and the secret that it is made with. */
export const CookieRefreshTimeMs = 120_000

/** Section 6.1: retries carry a jitter, so that two peers do not keep colliding. */
export const RekeyTimeoutJitterMaxMs = 334
/**
 * How long the first initiations of an attempt wait where the caller has just found a way to the peer: RekeyTimeout
 * of section 6.1 would have whoever joins pay five seconds for one lost datagram.
 */
export const FirstRekeyTimeoutsMs: readonly number[] = [1_000, 2_000]
/** Section 5.1: initiations of one peer that come faster than 50 a second are a flood. */
export const HandshakeInitiationIntervalMs = 20
/** Section 5.4.6: packets are padded with zeros to a multiple of this. */
export const PaddingMultiple = 16
/** Packets that wait for a session; the oldest is dropped for the next one. */
export const MaxStagedPackets = 128
/** Handshake messages in a second, and at once after a rest, beyond which a device is under load. */
export const HandshakesPerSecond = 500
export const HandshakeBurst = 500
/** wireguard-go's: how long a device stays under load after the last message too many. */
export const UnderLoadAfterTimeMs = 1_000
/** wireguard-go's: handshake messages of one IP address, under load. */
export const PacketsPerSecond = 20
export const PacketsBurstable = 5
/** Addresses that are counted at a time; the least recently used is forgotten for the next one. */
export const MaxRateLimitedAddresses = 8192
/** Paths to a peer whose cookies are kept; the oldest cookie makes room. */
export const MaxCookies = 8
/** Wall time that goes by without monotonic time, from which on it is taken for a machine's sleep. */
export const SleepMs = 10_000
/** Bits of the replay bitmap. The window is one 32-bit word less. */
export const ReplayBitmapBits = 8192
