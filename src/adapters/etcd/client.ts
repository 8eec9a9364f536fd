/**
 * A connection to one member of an etcd cluster, with nothing on top. The library's own calls can be neither
 * cancelled nor followed to the member that they went to, its retries and circuit breakers outlive their
 * reason, and it never closes the connections by which it logs in. So only its codecs and connections are used.
 */

import { ConnectionPool } from 'etcd3/lib/connection-pool.js'
import type { SignallingError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { failure, rpcFailure } from './failure.js'
import type { EndpointSettings } from './settings.js'

export type ServiceName = 'KV' | 'Lease' | 'Watch' | 'Auth'

/** A method of a service, and whose answer is waited for. */
export interface Call {
  readonly service: ServiceName
  readonly method: string
  readonly request: unknown
  readonly token: string | undefined
}

export interface Stream {
  write(request: unknown): void
  /** Nothing is reported from now on. Safe to call twice. */
  cancel(): void
}

export interface StreamHandlers {
  readonly onReply: (reply: unknown) => void
  /** It has ended by itself; never after `cancel`. */
  readonly onEnd: (error: SignallingError) => void
}

/** Above every answer to what we ask, at etcd's own limits: requests of 1.5 MiB, and events cut accordingly. */
const MaxReplyBytes = 4 * 1024 * 1024

const ChannelOptions = {
  'grpc.max_receive_message_length': MaxReplyBytes,
  // A connection of our own, so that it ends with us and nobody else's failures are ours.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  // Neither the environment's proxies nor TXT records of the domain have a say in where we connect.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
}

/** What is used of gRPC's clients, whose methods are made from etcd's protocol when it is loaded. */
interface UnaryCall {
  cancel(): void
}

interface DuplexCall extends UnaryCall {
  write(request: unknown): boolean
  on(event: 'data', listener: (reply: unknown) => void): this
  on(event: 'error', listener: (error: Error) => void): this
  on(event: 'end', listener: () => void): this
}

type UnaryMethod = (
  request: unknown,
  metadata: Metadata,
  options: object,
  callback: (error: Error | null, reply: unknown) => void,
) => UnaryCall
type StreamMethod = (metadata: Metadata) => DuplexCall

interface Metadata {
  set(name: string, value: string): void
}

interface Service {
  readonly client: Record<string, unknown>
  readonly metadata: Metadata
}

interface Channel {
  close(): void
}

export class Client {
  readonly #endpoint: EndpointSettings
  readonly #clock: Clock
  readonly #pool: ConnectionPool
  /** The library's own object: what is set here counts for the services that are made later. */
  readonly #channelOptions: Record<string, unknown> = { ...ChannelOptions }
  #channel: Channel | undefined
  readonly #cancels = new Set<() => void>()
  #isClosed = false

  constructor(endpoint: EndpointSettings, clock: Clock) {
    this.#endpoint = endpoint
    this.#clock = clock
    this.#pool = new ConnectionPool({
      hosts: `${endpoint.tls ? 'https' : 'http'}://${endpoint.label}`,
      ...(endpoint.tls && { credentials: credentialsOf(endpoint) }),
      grpcOptions: this.#channelOptions,
    })
  }

  /**
   * @param limitMs how long the answer may take
   * @throws SignallingError what is wrong, in words for a person; `etcd-silent` where no answer comes
   */
  async call({ service, method, request, token }: Call, limitMs: number): Promise<unknown> {
    const { client, metadata } = await this.#service(service, token)
    const ask = (client[method] as UnaryMethod).bind(client)
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        stopWaiting()
        this.#cancels.delete(abandon)
      }
      const giveUp = (error: SignallingError): void => {
        finish()
        call.cancel()
        reject(error)
      }
      const abandon = (): void => {
        giveUp(this.#closedError())
      }
      const stopWaiting = this.#clock.after(limitMs, () => {
        giveUp(failure('etcd-silent', this.#endpoint.label, 'etcd does not answer'))
      })
      this.#cancels.add(abandon)
      const call = ask(request, metadata, {}, (error, reply) => {
        finish()
        if (error === null) resolve(reply)
        else reject(rpcFailure(this.#endpoint, error))
      })
    })
  }

  async open(
    { service, method, token }: Omit<Call, 'request'>,
    { onReply, onEnd }: StreamHandlers,
  ): Promise<Stream> {
    const { client, metadata } = await this.#service(service, token)
    const call = (client[method] as StreamMethod).call(client, metadata)
    let isOver = false
    const cancel = (): void => {
      if (isOver) return
      isOver = true
      this.#cancels.delete(cancel)
      call.cancel()
    }
    const end = (error: SignallingError): void => {
      if (isOver) return
      isOver = true
      this.#cancels.delete(cancel)
      onEnd(error)
    }
    this.#cancels.add(cancel)
    call.on('data', (reply) => {
      if (!isOver) onReply(reply)
    })
    call.on('error', (error) => {
      end(rpcFailure(this.#endpoint, error))
    })
    call.on('end', () => {
      end(failure('etcd-unreachable', this.#endpoint.label, 'etcd ended the connection'))
    })
    return {
      write: (request) => {
        if (!isOver) call.write(request)
      },
      cancel,
    }
  }

  /** Cancels every call and stream, and ends the connection. Idempotent. */
  close(): void {
    this.#isClosed = true
    for (const cancel of this.#cancels) cancel()
    this.#channel?.close()
    this.#channel = undefined
  }

  async #service(name: ServiceName, token: string | undefined): Promise<Service> {
    if (this.#isClosed) throw this.#closedError()
    const service = await this.#pool.withConnection(name, ({ client, metadata }) => {
      this.#channel ??= client.getChannel()
      this.#channelOptions['channelOverride'] = this.#channel
      if (token !== undefined) metadata.set('token', token)
      return { client: client as unknown as Record<string, unknown>, metadata }
    })
    // A closed channel throws what no callback hears.
    if (this.#isClosed as boolean) throw this.#closedError()
    return service
  }

  #closedError(): SignallingError {
    return failure('etcd-unreachable', this.#endpoint.label, 'the connection was closed')
  }
}

function credentialsOf({ certificates: { ca, cert, key } }: EndpointSettings): {
  rootCertificate: Buffer
  privateKey?: Buffer
  certChain?: Buffer
} {
  return {
    // The library takes none for the usual authorities, and only its types know better.
    rootCertificate: ca as Buffer,
    ...(cert !== undefined && key !== undefined && { certChain: cert, privateKey: key }),
  }
}
