/**
 * What the core and the protocol machines need from outside. Implementations stand in src/node, and in
 * test/sim for the simulated internet.
 */
import type { GonetError } from './errors.js'
import type { SocketAddress } from './machine.js'

/** Monotonic time and timers, for code that waits. Machines never see it: they get `now` as an argument. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number
  /** Calls back once, `delayMs` from now; the returned function cancels, and is safe to call late. */
  after(delayMs: number, callback: () => void): () => void
}

/** Wall-clock time. Never trusted for security: it names days in chat, and stamps WireGuard handshakes. */
export interface Wall {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  unixMs(): number
}

/** Cryptographically strong randomness (seeded in the simulator). */
export interface Random {
  bytes(length: number): Uint8Array
  /** Uniform in [0, 1), for jitter and sampling. */
  fraction(): number
}

export interface KeyPair {
  readonly publicKey: Uint8Array
  readonly secretKey: Uint8Array
}

/**
 * NaCl and the hashes, by NaCl's names. Keys are raw bytes: Ed25519 public 32, secret 64 (seed ‖ public),
 * X25519 32 each. All functions are synchronous and pure.
 */
export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array
  sha512(bytes: Uint8Array): Uint8Array
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array
  /** HMAC-SHA1, for STUN's MESSAGE-INTEGRITY (RFC 8489 section 14.5) and nothing else. 20 bytes. */
  hmacSha1(key: Uint8Array, bytes: Uint8Array): Uint8Array
  /** RFC 5869 with SHA-256; an undefined salt is 32 zero bytes. */
  hkdfSha256(
    keyMaterial: Uint8Array,
    salt: Uint8Array | undefined,
    info: string | Uint8Array,
    length: number,
  ): Uint8Array
  /** Ed25519 key pair from a 32-byte seed. */
  signKeyPair(seed: Uint8Array): KeyPair
  /** Ed25519 detached signature, 64 bytes (RFC 8032). */
  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array
  /** Signs as `sign` does, with the key made ready once: for those who sign often. */
  signer(secretKey: Uint8Array): (message: Uint8Array) => Uint8Array
  /** False for anything that is not a valid signature, of any length. */
  verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean
  /** X25519 key pair from a 32-byte secret. */
  boxKeyPair(secretKey: Uint8Array): KeyPair
  /** X25519 (RFC 7748). Undefined where the result is all zero (a point of small order). */
  scalarMult(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined
  /** crypto_box: X25519, XSalsa20, Poly1305. Undefined where the public key is of small order. */
  box(
    message: Uint8Array,
    nonce: Uint8Array,
    publicKey: Uint8Array,
    secretKey: Uint8Array,
  ): Uint8Array | undefined
  /** Undefined for a forgery. */
  boxOpen(
    sealed: Uint8Array,
    nonce: Uint8Array,
    publicKey: Uint8Array,
    secretKey: Uint8Array,
  ): Uint8Array | undefined
  secretbox(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array
  /** Undefined for a forgery. */
  secretboxOpen(sealed: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | undefined
  /** Constant-time for equal lengths; false for different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean
}

/**
 * Small durable values by name (letters, digits, `-`, `.`, `/`). Every write is on disk when it returns.
 * A failing disk throws GonetError `store-failed`.
 */
export interface Store {
  read(name: string): Uint8Array | undefined
  /** Replaces the whole value atomically, with fsync. */
  write(name: string, bytes: Uint8Array): void
  /** Appends to the value (creating it), with fsync. A crash may leave a torn tail: readers must cope. */
  append(name: string, bytes: Uint8Array): void
  remove(name: string): void
}

/** The one UDP socket of a family. */
export interface UdpSocket {
  /** The bound address and port. */
  readonly local: SocketAddress
  /** Best effort, as UDP is: a failing send is counted, never thrown. */
  /** @param hops how many routers it may pass at most; as many as the system has it by default */
  send(bytes: Uint8Array, destination: SocketAddress, hops?: number): void
  onDatagram(listener: (bytes: Uint8Array, source: SocketAddress) => void): void
  /** Idempotent. */
  close(): Promise<void>
}

/** An address of an interface, and the prefix length, in bits, of the network that it is in. */
export interface InterfaceAddress {
  readonly address: string
  readonly prefixLength: number
}

/** The network interface through which this machine's programs reach a room. */
export interface IpInterface {
  /** The process that holds the network namespace that it is in; undefined for this process's own. */
  readonly namespace: number | undefined
  /**
   * Begins to read. Call it once.
   * @param onPackets takes whole IP packets of programs, several at a time, which belong to it
   * @param onLost called where somebody else has removed the interface
   */
  start(onPackets: (packets: readonly Uint8Array[]) => void, onLost: (failure: GonetError) => void): void
  /** Best effort: what the system does not take is lost. @param packet may be reused after the call */
  write(packet: Uint8Array): void
  /**
   * Gives it these addresses and no others, and brings it up.
   * @returns what it has to do without
   * @throws GonetError `interface-failed`
   */
  configure(addresses: readonly InterfaceAddress[]): Promise<readonly GonetError[]>
  /** Whether what this process sends to an address would go through the interface, and so through the tunnels. */
  leadsTo(address: string): boolean
  /** Takes it down. Idempotent. */
  close(): Promise<void>
}

/** Structured diagnostics. Messages are constant text; what varies goes into fields. Never a secret. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}
