/** What gonet uses of @hyperswarm/dht 6.5, which ships no types. */
declare module '@hyperswarm/dht' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'

  namespace DHT {
    interface KeyPair {
      readonly publicKey: Buffer
      readonly secretKey: Buffer
    }

    interface Address {
      readonly host: string
      readonly port: number
    }

    interface NodeOptions {
      readonly bootstrap: readonly Address[]
      /** A port, or the first of a range and the one behind its last: an empty range is any port. */
      readonly port: number | readonly [number, number]
      /** Whether another port is taken where none of these can be had. */
      readonly anyPort?: boolean
      /** The address to bind to; all by default. */
      readonly host?: string
      /** False for a node that keeps what others store. */
      readonly ephemeral: boolean
      /** False where others reach the server socket without having been asked. */
      readonly firewalled?: boolean
      /** How much a node keeps for others, in records of each kind. */
      readonly maxSize?: number
    }

    /** A question to the nodes closest to a target. It ends by itself, some seconds later at most. */
    interface Query<Reply> extends AsyncIterable<Reply> {
      readonly closestNodes: readonly Address[]
      finished(): Promise<void>
      destroy(): void
    }

    interface QueryOptions {
      /** Nodes to ask first. */
      readonly nodes?: readonly Address[]
      /** Asks these alone. */
      readonly onlyClosestNodes?: boolean
    }

    interface Peers {
      readonly peers: readonly { readonly publicKey: Buffer }[]
    }

    /** An encrypted stream between two key pairs (Noise IK over UDX). Emits `open` after the handshake. */
    interface SecretStream extends Duplex {
      readonly remotePublicKey: Buffer | null
      /** What carries it; null before it is open. */
      readonly rawStream: (Duplex & { readonly remoteHost: string | null }) | null
      /** Sends something when nothing else was sent for so long, in ms. */
      setKeepAlive(intervalMs: number): void
      /** Destroys the stream when nothing came for so long, in ms. */
      setTimeout(limitMs: number): void
    }

    interface ServerOptions {
      /** Whether to leave a handshake unanswered. */
      readonly firewall?: (remotePublicKey: Buffer, payload: unknown, address: Address) => boolean
      /** Whether to tell guests behind the same NAT our addresses in the local network. */
      readonly shareLocalAddress?: boolean
    }

    interface Server {
      /** Announces the key, and takes connections to it. */
      listen(keyPair: KeyPair): Promise<unknown>
      /** Announces the key again, some seconds from now. */
      refresh(): void
      close(): Promise<void>
    }

    interface ConnectOptions {
      readonly keyPair?: KeyPair
      /** Called before a hole is punched, when the other side has answered the handshake. */
      readonly holepunch?: () => boolean
    }
  }

  class DHT extends EventEmitter {
    constructor(options: DHT.NodeOptions)
    readonly destroyed: boolean
    /** What it asks while it knows too few others. */
    bootstrapNodes: readonly DHT.Address[]
    readonly udx: {
      createStream(id: number, options: unknown): Duplex & { readonly connected: boolean }
    }
    /** Resolves when the sockets are bound; rejects where they cannot be. */
    bind(): Promise<void>
    /** Resolves when the node has found the others, or none. */
    fullyBootstrapped(): Promise<void>
    address(): DHT.Address
    /** Nodes that we know, those heard of last first. */
    toArray(options: { readonly limit: number }): DHT.Address[]
    ping(node: DHT.Address, options: { readonly retry: boolean }): Promise<unknown>
    lookup(target: Buffer, options?: DHT.QueryOptions): DHT.Query<DHT.Peers>
    announce(target: Buffer, keyPair: DHT.KeyPair, relayAddresses: readonly DHT.Address[]): DHT.Query<unknown>
    unannounce(target: Buffer, keyPair: DHT.KeyPair): Promise<void>
    mutablePut(keyPair: DHT.KeyPair, value: Buffer, options: { readonly seq: number }): Promise<unknown>
    mutableGet(
      publicKey: Buffer,
      options: { readonly seq: number; readonly latest: boolean },
    ): Promise<{ readonly seq: number; readonly value: Buffer } | null>
    immutablePut(value: Buffer): Promise<{ readonly hash: Buffer }>
    immutableGet(hash: Buffer): Promise<{ readonly value: Buffer } | null>
    createServer(options: DHT.ServerOptions, onConnection: (stream: DHT.SecretStream) => void): DHT.Server
    connect(publicKey: Buffer, options: DHT.ConnectOptions): DHT.SecretStream
    destroy(options?: { readonly force: boolean }): Promise<void>

    static keyPair(seed: Buffer): DHT.KeyPair
    /** Where a key's own connections are announced. */
    static hash(publicKey: Buffer): Buffer
    /** A node that starts a DHT, known to others by this address. */
    static bootstrapper(port: number, host: string, options: Partial<DHT.NodeOptions>): DHT
  }

  export default DHT
}
