/** UDP sockets in a namespace, which a test sends from and looks at. One process a namespace has them all. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { SocketAddress } from '../../src/core/machine.js'
import type { Namespace } from './namespace.js'

const program = fileURLToPath(new URL('udp-probe.mjs', import.meta.url))
const PatienceMs = 5000

export interface Received {
  readonly text: string
  readonly source: SocketAddress
}

type Said =
  | { readonly event: 'open'; readonly id: number; readonly port: number }
  | ({ readonly event: 'message'; readonly id: number } & Received)

/** Ends with its namespace. */
export class UdpProbe {
  readonly #child: ChildProcess
  readonly #sockets: ProbeSocket[] = []
  readonly #opened = new Map<number, (port: number) => void>()

  constructor(namespace: Namespace) {
    this.#child = namespace.spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line) as Said
      if (said.event === 'open') this.#opened.get(said.id)?.(said.port)
      else this.#sockets[said.id]!.note(said)
    })
  }

  /** @param address the one it is bound to; `::` for IPv6 */
  async open(address = '0.0.0.0', port = 0): Promise<ProbeSocket> {
    const id = this.#sockets.length
    const command = (fields: object): void =>
      void this.#child.stdin!.write(`${JSON.stringify({ id, ...fields })}\n`)
    const socket = new ProbeSocket((text, destination) => {
      command({ command: 'send', text, destination })
    })
    this.#sockets.push(socket)
    const opened = new Promise<number>((resolve) => this.#opened.set(id, resolve))
    command({ command: 'open', address, port })
    socket.port = await opened
    return socket
  }
}

export class ProbeSocket {
  readonly received: Received[] = []
  port = 0
  readonly #send: (text: string, destination: SocketAddress) => void
  #wake: (() => void)[] = []

  constructor(send: (text: string, destination: SocketAddress) => void) {
    this.#send = send
  }

  send(text: string, destination: SocketAddress): void {
    this.#send(text, destination)
  }

  /** The first datagram with this text. @throws Error where it does not come within five seconds */
  async receives(text: string): Promise<SocketAddress> {
    const until = performance.now() + PatienceMs
    while (true) {
      const found = this.received.find((each) => each.text === text)
      if (found !== undefined) return found.source
      if (performance.now() >= until) throw new Error(`${text} did not come`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PatienceMs + 1)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  has(text: string): boolean {
    return this.received.some((each) => each.text === text)
  }

  note(received: Received): void {
    this.received.push(received)
    for (const wake of this.#wake.splice(0)) wake()
  }
}
