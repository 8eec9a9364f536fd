/** Replicas of a chat joined by links that lose, delay and double, with a clock that jumps. */
import { type Entry, streamOf, writeEntry } from '../../src/chat/entry.js'
import { readPayload } from '../../src/chat/payload.js'
import { type ChatEvent, ChatReplica } from '../../src/chat/replica.js'
import { GonetError } from '../../src/core/errors.js'
import { earliest } from '../../src/core/machine.js'
import type { Store } from '../../src/core/ports.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'

export const Room = 'a room'
export const WallMs = 1_700_000_000_000

export interface Author {
  readonly publicKey: Uint8Array
  readonly sign: (bytes: Uint8Array) => Uint8Array
}

export function newAuthor(seed: string): Author {
  const { publicKey, secretKey } = crypto.signKeyPair(new SeededRandom(seed).bytes(32))
  return { publicKey, sign: crypto.signer(secretKey) }
}

/** Writes the entries of one stream by hand. */
export class Writer {
  readonly author: Author
  readonly incarnation: Uint8Array
  readonly stream: string
  last: Entry | undefined

  constructor(author: Author, incarnation: number = 1) {
    this.author = author
    this.incarnation = new Uint8Array(8).fill(incarnation)
    this.stream = streamOf(author.publicKey, this.incarnation)
  }

  /** The next entry, after the parents; `change` makes it wrong. */
  write(
    text: string,
    parents: readonly Entry[] = [],
    change: Partial<Entry> = {},
    room: string = Room,
  ): Entry {
    const before = this.last === undefined ? parents : [this.last, ...parents]
    const content = {
      author: this.author.publicKey,
      incarnation: this.incarnation,
      sequence: (this.last?.sequence ?? 0) + 1,
      previous: this.last?.hash,
      parents: parents.map(({ hash }) => hash).sort(),
      lamport: 1 + Math.max(0, ...before.map(({ lamport }) => lamport)),
      wallMs: WallMs,
      name: 'somebody',
      text,
      ...change,
    }
    this.last = writeEntry(crypto, room, content, (bytes) => this.author.sign(bytes))
    return this.last
  }

  /** So many entries in a row. */
  series(count: number, text = 'text'): Entry[] {
    return Array.from({ length: count }, (_, index) => this.write(`${text} ${index + 1}`))
  }
}

/** A disk that can be full, and that tells when it was written to. */
export class TestStore implements Store {
  failing = false
  /** Bytes that a failing append leaves behind. */
  torn = 0
  onWrite: () => void = () => undefined
  readonly #values = new Map<string, Uint8Array[]>()

  read(name: string): Uint8Array | undefined {
    const pieces = this.#values.get(name)
    return pieces && Uint8Array.from(Buffer.concat(pieces))
  }

  write(name: string, bytes: Uint8Array): void {
    this.#check()
    this.#values.set(name, [bytes.slice()])
    this.onWrite()
  }

  append(name: string, bytes: Uint8Array): void {
    const pieces = this.#values.get(name) ?? []
    if (this.failing && this.torn > 0) this.#values.set(name, [...pieces, bytes.slice(0, this.torn)])
    this.#check()
    pieces.push(bytes.slice())
    this.#values.set(name, pieces)
    this.onWrite()
  }

  remove(name: string): void {
    this.#values.delete(name)
  }

  copy(): TestStore {
    const copy = new TestStore()
    const bytes = this.read('chat')
    if (bytes !== undefined) copy.write('chat', bytes)
    return copy
  }

  #check(): void {
    if (this.failing) throw new GonetError('store-failed', 'the disk is full')
  }
}

export interface Node {
  readonly name: string
  readonly author: Author
  readonly hub: boolean
  store: TestStore
  replica: ChatReplica
  events: ChatEvent[]
  /** Texts shown, over all restarts. */
  shown: string[]
  link: number
}

interface Flying {
  readonly at: number
  readonly from: string
  readonly to: string
  readonly link: number
  readonly payload: Uint8Array
}

export interface Quality {
  readonly loss: number
  readonly doubling: number
  readonly jitterMs: number
}

export const Perfect: Quality = { loss: 0, doubling: 0, jitterMs: 0 }
export const Bad: Quality = { loss: 0.2, doubling: 0.1, jitterMs: 200 }

export class ChatNet {
  now: number = 1000
  quality: Quality
  /** What was sent, in order, lost or not; a test may clear it. */
  sent: Omit<Flying, 'at'>[] = []
  /** Loses what it says true to. */
  drop: (from: string, payload: Uint8Array) => boolean = () => false
  readonly random: SeededRandom
  readonly nodes: Map<string, Node> = new Map()
  readonly #historyLimit: number
  #flying: Flying[] = []
  #links = 0

  constructor(seed: string, quality: Quality = Perfect, historyLimit: number = 200) {
    this.random = new SeededRandom(seed)
    this.quality = quality
    this.#historyLimit = historyLimit
  }

  /** The first is the hub. */
  add(name: string, store: TestStore = new TestStore()): Node {
    const hub = this.nodes.size === 0
    const author = newAuthor(name)
    const replica = this.#open(name, author, hub, store)
    const node = { name, author, hub, store, replica, events: [], shown: [], link: 0 }
    this.nodes.set(name, node)
    return node
  }

  get hub(): Node {
    return this.nodes.values().next().value!
  }

  /** Joins a guest to the hub; again where it was joined. */
  connect(...guests: readonly Node[]): void {
    for (const guest of guests) {
      this.#links += 1
      guest.link = this.#links
      guest.replica.addNeighbour(this.now, this.hub.name, this.hub.author.publicKey)
      this.hub.replica.addNeighbour(this.now, guest.name, guest.author.publicKey)
    }
    this.#collect()
  }

  disconnect(...guests: readonly Node[]): void {
    for (const guest of guests) {
      guest.link = 0
      guest.replica.removeNeighbour(this.now, this.hub.name)
      this.hub.replica.removeNeighbour(this.now, guest.name)
    }
    this.#collect()
  }

  /** Ends a replica and opens it again from its disk, or from another; it is joined to none then. */
  restart(
    node: Node,
    { store = node.store, crash = false }: { readonly store?: TestStore; readonly crash?: boolean } = {},
  ): void {
    if (!crash) node.replica.flush()
    for (const guest of node.hub ? this.nodes.values() : [node]) if (!guest.hub) this.disconnect(guest)
    node.store = store
    node.replica = this.#open(node.name, node.author, node.hub, store)
    this.#collect()
  }

  post(node: Node, text: string): string {
    const id = node.replica.post(this.now, text)
    this.#collect()
    return id
  }

  /** Sends a payload from outside the replica, as a hostile program would. */
  inject(from: Node, to: Node, payload: Uint8Array): void {
    to.replica.handlePayload(this.now, from.name, payload)
    this.#collect()
  }

  run(ms: number): void {
    const end = this.now + ms
    while (true) {
      const timeouts = Array.from(this.nodes.values(), ({ replica }) => replica.pollTimeout())
      const next = earliest(...timeouts, ...this.#flying.map(({ at }) => at))
      if (next === undefined || next > end) break
      this.now = Math.max(this.now, next)
      const due = this.#flying.filter(({ at }) => at <= this.now)
      this.#flying = this.#flying.filter(({ at }) => at > this.now)
      for (const { from, to, link, payload } of due) {
        if (this.#linkOf(from, to) === link)
          this.nodes.get(to)?.replica.handlePayload(this.now, from, payload)
      }
      for (const { replica } of this.nodes.values()) {
        const timeout = replica.pollTimeout()
        if (timeout !== undefined && timeout <= this.now) replica.handleTimeout(this.now)
      }
      this.#collect()
    }
    this.now = end
  }

  #open(name: string, author: Author, hub: boolean, store: TestStore): ChatReplica {
    return new ChatReplica({
      room: Room,
      author,
      name,
      crypto,
      random: this.random.fork(`${name} ${this.now}`),
      wall: { unixMs: () => WallMs + this.now },
      store,
      // The hub itself is none of its members.
      accepts: (key) =>
        !hub ||
        Array.from(this.nodes.values()).some(
          (node) => !node.hub && node.author.publicKey.every((byte, at) => byte === key[at]),
        ),
      hub,
      historyLimit: this.#historyLimit,
    })
  }

  #linkOf(from: string, to: string): number | undefined {
    return this.nodes.get(from === this.hub.name ? to : from)?.link
  }

  #collect(): void {
    for (const node of this.nodes.values()) {
      for (let sent = node.replica.pollTransmit(); sent; sent = node.replica.pollTransmit()) {
        this.#send(node.name, sent.neighbour, sent.payload)
      }
      for (let event = node.replica.pollEvent(); event; event = node.replica.pollEvent()) {
        node.events.push(event)
        if (event.type === 'message') node.shown.push(event.text)
      }
    }
  }

  #send(from: string, to: string, payload: Uint8Array): void {
    const link = this.#linkOf(from, to) ?? 0
    this.sent.push({ from, to, link, payload })
    if (this.drop(from, payload)) return
    const { loss, doubling, jitterMs } = this.quality
    const copies = this.random.fraction() < loss ? 0 : this.random.fraction() < doubling ? 2 : 1
    for (let copy = 0; copy < copies; copy += 1) {
      const at = this.now + 10 + this.random.fraction() * jitterMs
      this.#flying.push({ at, from, to, link, payload: payload.slice() })
    }
  }
}

/** A hub and guests that are joined to it. */
export function newRoom(
  guests: number,
  ...parameters: ConstructorParameters<typeof ChatNet>
): [net: ChatNet, hub: Node, ...guests: Node[]] {
  const net = new ChatNet(...parameters)
  const hub = net.add('hub')
  const nodes = Array.from({ length: guests }, (_, index) => net.add(`guest ${index + 1}`))
  net.connect(...nodes)
  net.run(2000)
  return [net, hub, ...nodes]
}

export function isFragment(payload: Uint8Array): boolean {
  return readPayload(payload).type === 'fragment'
}

export function delivered({ events }: Node): string[] {
  return events.flatMap((event) => (event.type === 'delivered' ? [event.id] : []))
}
