/**
 * One connection to a broker, from CONNECT to its end. The MQTT library parses, numbers, acknowledges and
 * pings; sockets, deadlines and reconnecting are ours. So only its client is imported, without its proxies
 * and WebSockets: half the loading time.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import mqttClient from 'mqtt/lib/client'
import type { SignallingError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { abortable } from '../waiting.js'
import { connectRefusal, disconnectWords, failure, refusalWords, socketFailure } from './failure.js'
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

/** `expiresInMs` is 0 where the broker does not say. */
export type OnMessage = (topic: string, payload: Uint8Array, expiresInMs: number) => void

/** From the start of connecting to CONNACK. */
const ConnectTimeoutMs = 5_000
/** A dead connection is noticed, by us and by the broker, within 1.5 times this. */
const KeepAliveSeconds = 30
/** A record of the largest size with its topic and properties fits in easily. */
const MaxPacketBytes = 16_384

const MqttClient = mqttClient.default

export class Connection {
  /** Resolves when the connection is over, with the reason. */
  readonly ended: Promise<SignallingError>
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #client: InstanceType<typeof MqttClient>
  #failure: SignallingError | undefined
  #accepted = false

  /**
   * Connects and logs in.
   * @throws SignallingError `broker-unreachable`, `broker-refused`, `broker-version`; the signal's reason
   */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted()
    const connection = new Connection(options, await openSocket(options.broker))
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

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    limitPackets(socket, MaxPacketBytes)
    const { broker, protocolVersion, eraseWhenBroken } = options
    this.#client = new MqttClient(() => socket, {
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
    this.#client.on('message', (topic, payload, { properties }) => {
      options.onMessage(topic, payload, (properties?.messageExpiryInterval ?? 0) * 1000)
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
    this.#client.end(true)
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
    const { label, secureContext } = this.#options.broker
    const failedBy = (error: Error): void => {
      const { code } = error as { code?: unknown }
      this.fail(
        typeof code === 'number'
          ? connectRefusal(label, code)
          : socketFailure(label, error, secureContext !== undefined),
      )
    }
    this.#client.on('error', failedBy)
    this.#socket.on('error', failedBy)
    this.#client.once('connect', () => {
      this.#accepted = true
    })
    this.#client.on('disconnect', ({ reasonCode }) => {
      this.#failure ??= failure('broker-unreachable', label, disconnectWords(reasonCode))
    })
    await new Promise<void>((resolve) => this.#socket.once('close', resolve))
    this.#client.end(true)
    if (this.#failure !== undefined) return this.#failure
    if (this.#accepted) return failure('broker-unreachable', label, 'the broker closed the connection')
    // How old brokers answer a version that they do not know; and brokers that expect TLS.
    const hint = secureContext === undefined ? ' (perhaps it expects TLS: mqtts://)' : ''
    return failure('broker-version', label, `the broker closed the connection without an answer${hint}`)
  }

  /** The broker's answer; where the connection ends instead, the library rejects, and `ended` knows why. */
  async #ask(
    question: () => Promise<unknown>,
    code: 'publish-refused' | 'watch-refused',
    words: string,
  ): Promise<void> {
    if (this.#socket.destroyed) throw await this.ended
    try {
      await question()
    } catch (error) {
      const { code: reason } = error as { code?: unknown }
      const refusal = typeof reason === 'number' ? reason : subackCode(error)
      if (refusal === undefined) throw await this.ended
      throw failure(code, this.#options.broker.label, `${words}: ${refusalWords(refusal)}`, error)
    }
  }
}

/** The first refusal in a SUBACK, which the library attaches to its error. */
function subackCode(error: unknown): number | undefined {
  const { packet } = error as { packet?: { granted?: readonly unknown[] } }
  return packet?.granted?.find((code) => typeof code === 'number' && code >= 128) as number | undefined
}

async function openSocket({ host, port, secureContext }: BrokerSettings): Promise<Socket> {
  if (secureContext === undefined) return connectTcp({ host, port, noDelay: true })
  const { connect } = await import('node:tls')
  // An IP address is no server name (RFC 6066 section 3), and is checked against the certificate all the same.
  const socket = connect({ host, port, secureContext, ...(isIP(host) === 0 && { servername: host }) })
  return socket.setNoDelay(true)
}
