/**
 * A small MQTT broker inside the process (3.1.1, which is all that aedes speaks), for a private group, the
 * demo and tests. It is meant to stand in the open: what strangers can fill has a cap.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { Aedes, type Client, type PublishPacket } from 'aedes'
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

const MaxSubscriptionsPerClient = 256
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
  const { maxConnections = 1000, maxPacketBytes = 16_384 } = limits
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
    authorizeSubscribe: limitSubscriptions(),
    // What is retained is sent at its reader's own pace.
    authorizeForward: ({ conn }, packet) =>
      packet.retain || conn.writableLength <= MaxUnreadBytes ? packet : null,
  })
  const retained = new RetainedRecords(broker, limits)
  broker.authorizePublish = (_client, packet, callback) => {
    if (packet.topic.startsWith('$')) {
      callback(new Error('topics that begin with $ are reserved'))
      return
    }
    retained.admit(packet)
    callback(null)
  }
  // One message that failed; without a listener it would end the process.
  broker.on('error' as 'closed', () => undefined)
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, highWaterMark: SocketBufferBytes }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
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

/** Which retained records there are, and until when. */
class RetainedRecords {
  readonly #broker: Aedes
  readonly #clock: Clock
  readonly #maxRetained: number
  readonly #retainMs: number
  /** Ends of life by topic, the earliest first. */
  readonly #expiries = new Map<string, number>()
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(
    broker: Aedes,
    { clock = systemClock, maxRetained = 4096, retainMs = 24 * 60 * 60 * 1000 }: MqttBrokerLimits,
  ) {
    this.#broker = broker
    this.#clock = clock
    this.#maxRetained = maxRetained
    this.#retainMs = retainMs
  }

  /** Takes note of a message before the broker keeps it, and unmarks one too many. */
  admit(packet: PublishPacket): void {
    if (!packet.retain) return
    // The last wills of those that the broker's end disconnects.
    if (this.#isClosed) {
      packet.retain = false
      return
    }
    const { topic } = packet
    if (packet.payload.length === 0) {
      this.#expiries.delete(topic)
      return
    }
    if (!this.#expiries.has(topic) && this.#expiries.size >= this.#maxRetained) {
      packet.retain = false
      return
    }
    this.#expiries.delete(topic)
    this.#expiries.set(topic, this.#clock.now() + this.#retainMs)
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    this.#expiries.clear()
  }

  #schedule(): void {
    const [first] = this.#expiries.values()
    if (first === undefined || this.#cancelTimer !== undefined) return
    this.#cancelTimer = this.#clock.after(Math.max(0, first - this.#clock.now()), () => {
      this.#cancelTimer = undefined
      this.#eraseExpired()
      this.#schedule()
    })
  }

  #eraseExpired(): void {
    const now = this.#clock.now()
    for (const [topic, expiresAt] of this.#expiries) {
      if (expiresAt > now) return
      this.#expiries.delete(topic)
      const erasure = { cmd: 'publish', topic, payload: '', qos: 1, retain: true, dup: false } as const
      this.#broker.publish(erasure, () => undefined)
    }
  }
}

function limitSubscriptions(): Aedes['authorizeSubscribe'] {
  const counts = new WeakMap<Client, number>()
  return (client, subscription, callback) => {
    const count = (counts.get(client) ?? 0) + 1
    counts.set(client, count)
    callback(null, count > MaxSubscriptionsPerClient ? null : subscription)
  }
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
