/** The TCP and TLS connections to TURN servers, as a room's machine asks for them. */
import { explain, GonetError } from '../core/errors.js'
import type { RelayInput, RelayTransmit } from '../room/relays.js'
import { mayDrop } from '../transports/turn/stream-framing.js'
import type { ConfiguredRelay } from './relay-servers.js'
import { openStreamTransport, type StreamTransport } from './stream-transport.js'

type Connect = Extract<RelayTransmit, { readonly type: 'connect' }>
type Stream = Extract<RelayTransmit, { readonly type: 'stream' }>

interface Connection {
  readonly abort: AbortController
  stream: StreamTransport | undefined
}

export class RelayStreams {
  readonly #servers: ReadonlyMap<string, ConfiguredRelay>
  readonly #onInput: (relay: string, input: RelayInput) => void
  readonly #connections = new Map<string, Connection>()

  /** @param onInput called with what becomes of each stream; never after `close` */
  constructor(servers: readonly ConfiguredRelay[], onInput: (relay: string, input: RelayInput) => void) {
    this.#servers = new Map(servers.map((server) => [server.id, server]))
    this.#onInput = onInput
  }

  perform(transmit: Connect | Stream): void {
    if (transmit.type === 'connect') void this.#connect(transmit)
    else this.#connections.get(transmit.relay)?.stream?.send(transmit.bytes, mayDrop(transmit.bytes))
  }

  /** Idempotent. */
  close(): void {
    for (const relay of [...this.#connections.keys()]) this.#drop(relay)
  }

  async #connect({ relay, server, domain }: Connect): Promise<void> {
    const configured = this.#servers.get(relay)
    if (configured === undefined) return
    this.#drop(relay)
    const connection: Connection = { abort: new AbortController(), stream: undefined }
    this.#connections.set(relay, connection)
    const tell = (input: RelayInput): void => {
      if (this.#connections.get(relay) === connection) this.#onInput(relay, input)
    }
    const { host, transport, ca } = configured
    try {
      const stream = await openStreamTransport({
        host: server.address,
        port: server.port,
        ...(transport === 'tls' && { tls: { servername: domain ?? host, ...(ca !== undefined && { ca }) } }),
        signal: connection.abort.signal,
      })
      connection.stream = stream
      if (connection.abort.signal.aborted) {
        stream.close()
        return
      }
      stream.onBytes((bytes) => tell({ type: 'bytes', bytes }))
      stream.onClosed((reason) => tell({ type: 'closed', reason }))
      tell({ type: 'connected' })
    } catch (error) {
      if (connection.abort.signal.aborted) return
      tell({ type: 'closed', reason: error instanceof GonetError ? explain(error) : String(error) })
    }
  }

  #drop(relay: string): void {
    const connection = this.#connections.get(relay)
    this.#connections.delete(relay)
    connection?.abort.abort()
    connection?.stream?.close()
  }
}
