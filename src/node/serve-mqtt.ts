/**
 * A small MQTT broker inside the process (3.1.1, which is all that aedes speaks), for a private group, the
 * demo and tests. It is meant to stand in the open: what strangers can fill has a cap, one address can fill
 * a part of it only, and nobody can list the topics of others.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { Aedes, type Client, type PublishPacket } from 'aedes'
import ipaddr from 'ipaddr.js'
import { limitPackets } from '../adapters/mqtt/packet-limit.js'
import { UsageError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import type { Clock } from '../core/ports.js'
import { systemClock } from './clock.js'

export interface MqttBrokerLimits {
  /** 1,000 by default. */
  readonly maxConnections?: number
  /** 16,384 bytes by default. */
  readonly maxPacketBytes?: number
  /** Retained records at a time, 4,096 by default; later ones are passed on without being kept. */
  readonly maxRetained?: number
  /** How long a retained record is kept, in ms, a day by default: MQTT 3.1.1 has no expiry of its own. */
  readonly retainMs?: number
  /**
   * The part of the connections and of the retained records that one remote address may have, an eighth by
   * default. This machine itself may have all.
   */
  readonly sharePerAddress?: number
  /** Whose share is bounded: undefined for an address that is not. Loopback addresses by default. */
  readonly ownerOf?: (address: string) => string | undefined
  readonly clock?: Clock
}

export interface MqttBroker {
  /** Where it listens, with the port that the system chose. */
  readonly address: SocketAddress
  /** The same as a URL, for `adapters.mqtt.url`. */
  readonly url: string
  /** Ends every connection. Idempotent. */
  close(): Promise<void>
}

/** At a time. */
const MaxSubscriptionsPerClient = 256
/** CONNACK: the server is unavailable (MQTT 3.1.1 section 3.2.2.3). */
const Unavailable = Uint8Array.of(0x20, 2, 0, 3)
/** Those who are turned away are given so long to read it, and only so many at a time. */
const FarewellMs = 1_000
const MaxFarewells = 16
const MaxTopicLevels = 16
const ConnectTimeoutMs = 10_000
/**
 * Who has left this much unread is not sent what others publish. It is far below where writing makes wait
 * whoever publishes, so that nobody waits for one slow reader.
 */
const MaxUnreadBytes = 65_536
const SocketBufferBytes = 4 * MaxUnreadBytes
/** Who makes wait all the same is disconnected. */
const DrainTimeoutMs = 5_000

/**
 * @param listen port 0 lets the system choose
 * @throws UsageError `listen-failed` where the address cannot be listened on
 */
export async function serveMqtt(listen: SocketAddress, limits: MqttBrokerLimits = {}): Promise<MqttBroker> {
  const { maxConnections = 1000, maxPacketBytes = 16_384, sharePerAddress = 1 / 8 } = limits
  const { ownerOf = ownerOfAddress, clock = systemClock } = limits
  const owners = new WeakMap<object, string>()
  const connections = new Shares(Math.max(1, Math.floor(maxConnections * sharePerAddress)))
  const broker = await Aedes.createBroker({
    connectTimeout: ConnectTimeoutMs,
    drainTimeout: DrainTimeoutMs,
    // A limit here is shared by all: messages that wait for one slow reader would keep everybody's from going.
    concurrency: 0,
    maxTopicLevels: MaxTopicLevels,
    // Sessions that outlive their connection would need a store without bounds.
    preConnect: (_client, { clean }, callback) => {
      // Without an error, aedes would keep the connection, deaf and for ever.
      callback(clean === false ? new Error('only clean sessions are served') : null, clean !== false)
    },
    authorizeSubscribe: limitSubscriptions,
    // What is retained is sent at its reader's own pace.
    authorizeForward: ({ conn }, packet) =>
      packet.retain || conn.writableLength <= MaxUnreadBytes ? packet : null,
  })
  const retained = new RetainedRecords(broker, limits)
  broker.authorizePublish = (client, packet, callback) => {
    if (packet.topic.startsWith('$')) {
      callback(new Error('topics that begin with $ are reserved'))
      return
    }
    retained.admit(packet, client === null ? undefined : owners.get(client.conn))
    callback(null)
  }
  // One message that failed; without a listener it would end the process.
  broker.on('error' as 'closed', () => undefined)
  const sockets = new Set<Socket>()
  let farewells = 0
  const turnAway = (socket: Socket): void => {
    if (farewells >= MaxFarewells) {
      socket.destroy()
      return
    }
    farewells += 1
    const cancel = clock.after(FarewellMs, () => socket.destroy())
    socket.once('close', () => {
      farewells -= 1
      cancel()
    })
    socket.on('error', () => undefined)
    socket.resume()
    socket.end(Unavailable)
  }
  const server = createServer({ noDelay: true, highWaterMark: SocketBufferBytes }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const owner = ownerOf(socket.remoteAddress ?? '')
    if (owner !== undefined) {
      if (!connections.take(owner)) {
        turnAway(socket)
        return
      }
      owners.set(socket, owner)
      socket.once('close', () => {
        connections.give(owner)
      })
    }
    limitPackets(socket, maxPacketBytes)
    broker.handle(socket)
  })
  server.maxConnections = maxConnections
  // A connection that could not be accepted; `bind` listens for what comes before.
  server.on('error', () => undefined)
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    retained.close()
    const closed = new Promise<void>((resolve) => {
      server.close(() => {
        resolve()
      })
    })
    await new Promise<void>((resolve) => {
      broker.close(resolve)
    })
    for (const socket of sockets) socket.destroy()
    await closed
  }
  try {
    const address = await bind(server, listen)
    return {
      address,
      url: `mqtt://${formatSocketAddress(address)}`,
      close: () => {
        closing ??= close()
        return closing
      },
    }
  } catch (error) {
    await close()
    throw new UsageError('listen-failed', `Cannot listen on ${formatSocketAddress(listen)}`, {
      advice: 'Choose another address or port with --listen',
      cause: error,
    })
  }
}

/** How much each of many has of what they share. */
class Shares {
  readonly #held = new Map<string, number>()
  readonly #limit: number

  /** @param limit how much one may have */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether there was one more to take. */
  take(owner: string): boolean {
    const held = this.#held.get(owner) ?? 0
    if (held >= this.#limit) return false
    this.#held.set(owner, held + 1)
    return true
  }

  give(owner: string): void {
    const held = this.#held.get(owner) ?? 0
    if (held > 1) this.#held.set(owner, held - 1)
    else this.#held.delete(owner)
  }
}

interface Retained {
  readonly expiresAt: number
  /** Who has taken its place; others may write over it. Undefined for this machine. */
  readonly owner: string | undefined
}

/** Which retained records there are, whose, and until when. */
class RetainedRecords {
  readonly #broker: Aedes
  readonly #clock: Clock
  readonly #maxRetained: number
  readonly #retainMs: number
  readonly #shares: Shares
  /** By topic, the first to expire first. */
  readonly #records = new Map<string, Retained>()
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(
    broker: Aedes,
    {
      clock = systemClock,
      maxRetained = 4096,
      retainMs = 24 * 60 * 60 * 1000,
      sharePerAddress = 1 / 8,
    }: MqttBrokerLimits,
  ) {
    this.#broker = broker
    this.#clock = clock
    this.#maxRetained = maxRetained
    this.#retainMs = retainMs
    this.#shares = new Shares(Math.max(1, Math.floor(maxRetained * sharePerAddress)))
  }

  /** Takes note of a message before the broker keeps it, and unmarks one too many. */
  admit(packet: PublishPacket, owner: string | undefined): void {
    if (!packet.retain) return
    // The last wills of those that the broker's end disconnects.
    if (this.#isClosed) {
      packet.retain = false
      return
    }
    const { topic } = packet
    if (packet.payload.length === 0) {
      this.#drop(topic)
      return
    }
    const before = this.#records.get(topic)
    if (before === undefined && !this.#hasRoom(owner)) {
      packet.retain = false
      return
    }
    this.#records.delete(topic)
    const expiresAt = this.#clock.now() + this.#retainMs
    this.#records.set(topic, before === undefined ? { expiresAt, owner } : { ...before, expiresAt })
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    this.#records.clear()
  }

  #hasRoom(owner: string | undefined): boolean {
    if (this.#records.size >= this.#maxRetained) return false
    return owner === undefined || this.#shares.take(owner)
  }

  #drop(topic: string): void {
    const owner = this.#records.get(topic)?.owner
    this.#records.delete(topic)
    if (owner !== undefined) this.#shares.give(owner)
  }

  #schedule(): void {
    const [first] = this.#records.values()
    if (first === undefined || this.#cancelTimer !== undefined) return
    this.#cancelTimer = this.#clock.after(Math.max(0, first.expiresAt - this.#clock.now()), () => {
      this.#cancelTimer = undefined
      this.#eraseExpired()
      this.#schedule()
    })
  }

  #eraseExpired(): void {
    const now = this.#clock.now()
    for (const [topic, { expiresAt }] of this.#records) {
      if (expiresAt > now) return
      this.#drop(topic)
      const erasure = { cmd: 'publish', topic, payload: '', qos: 1, retain: true, dup: false } as const
      this.#broker.publish(erasure, () => undefined)
    }
  }
}

const limitSubscriptions: Aedes['authorizeSubscribe'] = (client, subscription, callback) => {
  const { subscriptions } = client as Client & { readonly subscriptions: Readonly<Record<string, unknown>> }
  const { topic } = subscription
  const isKnown = Object.hasOwn(subscriptions, topic)
  const hasRoom = isKnown || Object.keys(subscriptions).length < MaxSubscriptionsPerClient
  // MQTT 3.1.1 has one code for every refusal, and no place for words.
  callback(null, hasRoom && isNarrow(topic) ? subscription : null)
}

/**
 * Whether a filter shows only what its sender could name: a wildcard is the last level, the sender's, below
 * `<prefix>/1/<topic>/<box>`. So nobody can list topics, or follow those that he has not been told.
 */
function isNarrow(filter: string): boolean {
  if (filter.startsWith('$') || filter.includes('#')) return false
  const wildcardAt = filter.indexOf('+')
  if (wildcardAt === -1) return true
  if (wildcardAt !== filter.length - 1 || !filter.endsWith('/+')) return false
  const above = filter.split('/').slice(0, -1)
  const versionAt = above.indexOf('1', 1)
  return versionAt > 0 && versionAt <= above.length - 3
}

/** Whose share an address counts for: undefined for this machine, which has all. IPv6 comes as whole /64s. */
export function ownerOfAddress(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return 'unknown'
  const parsed = ipaddr.process(address)
  if (parsed.range() === 'loopback') return undefined
  return parsed.kind() === 'ipv6' ? parsed.toByteArray().slice(0, 8).join('.') : parsed.toString()
}

function bind(server: Server, { address, port }: SocketAddress): Promise<SocketAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port }, () => {
      server.off('error', reject)
      const bound = server.address()
      if (bound === null || typeof bound === 'string') reject(new Error('not a TCP address'))
      else resolve({ address: bound.address, port: bound.port })
    })
  })
}
