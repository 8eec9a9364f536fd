/**
 * One connection to a broker, from CONNECT to its end. The MQTT library parses, numbers, acknowledges and
 * pings; sockets, deadlines and reconnecting are ours. So only its client is imported, without its proxies
 * and, unless a URL asks for them, WebSockets: half the loading time.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Packet } from 'mqtt'
import mqttClient from 'mqtt/lib/client'
import { writeToStream } from 'mqtt-packet'
import { explain, type SignallingError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { abortable } from '../waiting.js'
import { connectRefusal, disconnected, failure, refusalWords, socketFailure } from './failure.js'
import { limitPackets } from './packet-limit.js'
import type { BrokerSettings } from './settings.js'

export type ProtocolVersion = 4 | 5

export interface ConnectionOptions {
  readonly broker: BrokerSettings
  /** 5 for MQTT 5, 4 for MQTT 3.1.1. */
  readonly protocolVersion: ProtocolVersion
  readonly clientId: string
  /** The topic whose retained message the broker shall erase when this connection breaks (its will). */
  readonly eraseWhenBroken?: string | undefined
  readonly onMessage: OnMessage
  readonly clock: Clock
}

/**
 * `expiresInMs` is 0 where the broker does not say. `isRetained`: the broker had it when we subscribed, and
 * does not just pass it on.
 */
export type OnMessage = (topic: string, payload: Uint8Array, expiresInMs: number, isRetained: boolean) => void

/** From the start of connecting to CONNACK. */
const ConnectTimeoutMs = 5_000
/** Who takes longer to acknowledge something does not answer any more. */
const AnswerTimeoutMs = 10_000
/** A dead connection that is idle is noticed, by us and by the broker, within 1.5 times this. */
const KeepAliveSeconds = 30
/** A record of the largest size with its topic and properties fits in easily. */
const MaxPacketBytes = 16_384

// A CommonJS module's default export: Node gives the module, bundlers and vitest give what is in it.
const MqttClient = 'default' in mqttClient ? mqttClient.default : mqttClient

// Else the first packet makes, and keeps, a buffer for each number that MQTT can write, 65,536 of them.
writeToStream.cacheNumbers = false

export class Connection {
  /** Resolves when the connection is over, with the reason. */
  readonly ended: Promise<SignallingError>
  readonly #options: ConnectionOptions
  /** What MQTT goes through: the socket, or a WebSocket over it. */
  readonly #stream: Duplex
  readonly #socket: Socket
  readonly #client: InstanceType<typeof MqttClient>
  #failure: SignallingError | undefined
  #accepted = false
  #isDestroyed = false

  /**
   * Connects and logs in.
   * @throws SignallingError `broker-unreachable`, `broker-refused`, `broker-version`, `broker-silent`; the
   * signal's reason
   */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted()
    const { socket, stream } = await openStream(options.broker)
    const connection = new Connection(options, socket, stream)
    const cancelTimeout = options.clock.after(ConnectTimeoutMs, () => {
      connection.fail(failure('broker-unreachable', options.broker.label, 'no answer in time'))
    })
    try {
      await abortable(connection.#connected(), signal)
      return connection
    } catch (error) {
      connection.destroy()
      throw error
    } finally {
      cancelTimeout()
    }
  }

  private constructor(options: ConnectionOptions, socket: Socket, stream: Duplex) {
    this.#options = options
    this.#socket = socket
    this.#stream = stream
    limitPackets(stream, MaxPacketBytes)
    const { broker, protocolVersion, eraseWhenBroken } = options
    this.#client = new MqttClient(() => stream, {
      protocolVersion,
      clientId: options.clientId,
      clean: true,
      keepalive: KeepAliveSeconds,
      reconnectPeriod: 0,
      timerVariant: 'native',
      ...(broker.username !== undefined && { username: broker.username }),
      ...(broker.password !== undefined && { password: broker.password }),
      ...(protocolVersion === 5 && { properties: { maximumPacketSize: MaxPacketBytes } }),
      ...(eraseWhenBroken !== undefined && {
        will: { topic: eraseWhenBroken, payload: Buffer.alloc(0), qos: 1, retain: true },
      }),
    })
    this.ended = this.#watchEnd()
    this.#client.on('message', (topic, payload, { properties, retain }) => {
      const expirySeconds: unknown = properties?.messageExpiryInterval
      const expiresInMs = typeof expirySeconds === 'number' ? expirySeconds * 1000 : 0
      options.onMessage(topic, payload, expiresInMs, retain)
    })
    this.#client.on('packetreceive', (packet) => {
      if (!isUncalledFor(packet)) return
      this.fail(failure('broker-unreachable', broker.label, 'the broker sent what we did not ask for'))
      // The library goes on with this packet all the same, and would throw where nobody catches.
      packet.messageId = 0
    })
  }

  get protocolVersion(): ProtocolVersion {
    return this.#options.protocolVersion
  }

  /**
   * Resolves when the broker has taken the message.
   * @throws SignallingError `publish-refused`, or why the connection ended
   */
  async publish(
    topic: string,
    payload: Uint8Array,
    { retain, expiresInMs }: { readonly retain: boolean; readonly expiresInMs?: number },
  ): Promise<void> {
    const messageExpiryInterval = Math.max(1, Math.ceil((expiresInMs ?? 0) / 1000))
    const properties =
      this.protocolVersion === 5 && expiresInMs !== undefined ? { messageExpiryInterval } : undefined
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    await this.#ask(
      () => this.#client.publishAsync(topic, bytes, { qos: 1, retain, ...(properties && { properties }) }),
      'publish-refused',
      'the broker refused a record',
    )
  }

  /**
   * Resolves when the broker has the subscriptions; what it retains comes at the same time.
   * @throws SignallingError `watch-refused`, or why the connection ended
   */
  async subscribe(filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    await this.#ask(
      () => this.#client.subscribeAsync([...filters], { qos: 1 }),
      'watch-refused',
      'the broker does not let us watch',
    )
  }

  /** Best effort. */
  unsubscribe(filter: string): void {
    this.#client.unsubscribe(filter, () => undefined)
  }

  /** Ends the connection properly: the broker then drops the will. The other side may never close. */
  async end(): Promise<void> {
    this.#client.end()
    await this.ended
  }

  /** Breaks the connection: the broker then does the will. Safe to call twice. */
  destroy(): void {
    this.#isDestroyed = true
    this.#client.end(true)
    this.#stream.destroy()
    this.#socket.destroy()
  }

  /** Breaks a connection that is no use, with the reason that `ended` will give. */
  fail(reason: SignallingError): void {
    this.#failure ??= reason
    this.destroy()
  }

  #connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.once('connect', () => {
        resolve()
      })
      void this.ended.then(reject)
    })
  }

  async #watchEnd(): Promise<SignallingError> {
    const { broker } = this.#options
    const { label } = broker
    let isSecure = false
    const failedBy = (error: Error): void => {
      // What we have ended ourselves complains about it.
      if (this.#isDestroyed) return
      const { code } = error as { code?: unknown }
      // A reset is how a broker ends a connection with bytes that it has not read: see below.
      if (code === 'ECONNRESET' && !this.#accepted) this.destroy()
      else if (typeof code === 'number' && !this.#accepted) this.fail(connectRefusal(label, code))
      else this.fail(socketFailure(label, error, broker.secureContext !== undefined))
    }
    this.#client.on('error', failedBy)
    this.#stream.on('error', failedBy)
    this.#socket.on('error', failedBy)
    this.#socket.once('secureConnect', () => {
      isSecure = true
    })
    this.#client.once('connect', () => {
      this.#accepted = true
    })
    this.#client.on('disconnect', ({ reasonCode }) => {
      this.#failure ??= disconnected(label, reasonCode)
    })
    await new Promise<void>((resolve) => this.#stream.once('close', resolve))
    this.destroy()
    if (this.#failure !== undefined) return this.#failure
    if (this.#accepted) return failure('broker-unreachable', label, 'the broker closed the connection')
    // How old brokers answer a version that they do not know; and others that want something else of us.
    const words = `the broker closed the connection without an answer (${silenceHint(broker, isSecure)})`
    return failure('broker-silent', label, words)
  }

  #isOver(): boolean {
    return this.#stream.destroyed
  }

  /** The broker's answer; where the connection ends instead, the library rejects, and `ended` knows why. */
  async #ask(
    question: () => Promise<unknown>,
    code: 'publish-refused' | 'watch-refused',
    words: string,
  ): Promise<void> {
    if (this.#isOver()) throw await this.ended
    const { broker, clock } = this.#options
    const cancelTimeout = clock.after(AnswerTimeoutMs, () => {
      this.fail(failure('broker-unreachable', broker.label, 'the broker does not answer any more'))
    })
    try {
      await question()
    } catch (error) {
      const { code: reason } = error as { code?: unknown }
      const refusal = typeof reason === 'number' ? reason : subackCode(error)
      const { label } = broker
      if (refusal !== undefined) throw failure(code, label, `${words}: ${refusalWords(refusal)}`, error)
      if (this.#isOver() || this.#client.disconnecting) throw await this.ended
      // The library did not even ask.
      throw failure(code, label, `${words}: ${explain(error)}`, error)
    } finally {
      cancelTimeout()
    }
  }
}

/**
 * We asked for QoS 1 at most: what is half delivered with QoS 2 would lie in our memory. And the library's
 * parser gives a packet that ends before its identifier the identifier -1.
 */
function isUncalledFor({ cmd, qos, messageId }: Packet & { qos?: number }): boolean {
  if (cmd === 'pubrel' || (cmd === 'publish' && qos === 2)) return true
  return messageId !== undefined && messageId < 0
}

/** The first refusal in a SUBACK, which the library attaches to its error. */
function subackCode(error: unknown): number | undefined {
  const { packet } = error as { packet?: { granted?: readonly unknown[] } }
  return packet?.granted?.find((code) => typeof code === 'number' && code >= 128) as number | undefined
}

/** What a broker may want that ends a connection without a word. */
function silenceHint(
  { secureContext, hasCertificate, webSocketPath }: BrokerSettings,
  isSecure: boolean,
): string {
  const isWebSocket = webSocketPath !== undefined
  if (secureContext === undefined) {
    const secure = isWebSocket ? 'wss' : 'mqtts'
    return `perhaps it is full, or expects ${isWebSocket ? 'no WebSocket, or ' : ''}TLS: ${secure}://`
  }
  if (!isSecure) return `perhaps without TLS: ${isWebSocket ? 'ws' : 'mqtt'}://`
  if (hasCertificate) return 'perhaps it is full, or does not trust our certificate'
  return 'perhaps it is full, or wants a client certificate: adapters.mqtt.cert and .key'
}

async function openStream(broker: BrokerSettings): Promise<{ socket: Socket; stream: Duplex }> {
  // Before the socket, which may fail while nobody listens.
  const webSocket = broker.webSocketPath === undefined ? undefined : await import('./websocket.js')
  const socket = await openSocket(broker)
  return { socket, stream: webSocket?.openWebSocket(socket, broker) ?? socket }
}

async function openSocket({ host, port, secureContext }: BrokerSettings): Promise<Socket> {
  if (secureContext === undefined) return connectTcp({ host, port, noDelay: true })
  const { connect } = await import('node:tls')
  // An IP address is no server name (RFC 6066 section 3), and is checked against the certificate all the same.
  const socket = connect({
    host,
    port,
    secureContext,
    // Even where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
    rejectUnauthorized: true,
    ...(isIP(host) === 0 && { servername: host }),
  })
  return socket.setNoDelay(true)
}
