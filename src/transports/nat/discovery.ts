/**
 * NAT behaviour discovery (RFC 5780 sections 4.1 to 4.4) for one address family. Sans-IO (src/core/machine.ts).
 *
 * First every server is asked where it sees this machine. Then the filter is judged, by a socket that has sent to
 * none but that server, and hairpin, between two others. Only then the mapping, since that needs packets to the
 * server's other addresses, which open filters. All that is sent is under a schedule that ends.
 */
import type { Machine, SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { changeRequestAttribute } from '../stun/attributes.js'
import { type Filtering, isPredictable, judgeMapping, type Mapping, type MappingSample } from './behaviour.js'
import {
  type Answer,
  type Question,
  Questions,
  type QuestionsCounters,
  type SocketDatagram,
} from './questions.js'

export interface NatDiscoveryOptions {
  readonly random: Random
  /** Of one family, already resolved, each once, at most 16. The first that answers fully is the one that is asked further. */
  readonly servers: readonly SocketAddress[]
  /** Where the sockets are that are sent from: their ports, at the address from which the servers are reached. */
  readonly sockets: readonly [SocketAddress, SocketAddress, SocketAddress]
}

export type NatDiscoveryStep = 'asking' | 'filtering' | 'mapping'

export type NatDiscoveryEvent =
  | { readonly type: 'step'; readonly step: NatDiscoveryStep }
  | { readonly type: 'done'; readonly result: NatDiscoveryResult }

export interface ServerAnswer {
  readonly server: SocketAddress
  readonly answer: Answer
}

export interface NatDiscoveryResult {
  readonly local: SocketAddress
  /** In the order of the servers. */
  readonly servers: readonly ServerAnswer[]
  /** Where this machine is seen from outside, each once; nowhere, where no server has answered. */
  readonly reflexive: readonly SocketAddress[]
  readonly mapping: Mapping
  readonly filtering: Filtering
  /** undefined without a NAT, and where no server has answered. */
  readonly hairpin: boolean | undefined
  /** Whether sockets are seen at their own ports; undefined where no server has answered. */
  readonly portPreserved: boolean | undefined
  /** Whether the port of the next mapping can be told from these; undefined where too few are known. */
  readonly portsPredictable: boolean | undefined
  /** The server that was asked further, and so knows this machine. */
  readonly server: SocketAddress | undefined
}

/** As RFC 8489 section 6.2.1 with an Rc of 5: ms. A person waits for it. */
const AskSchedule: readonly number[] = [500, 1500, 3500, 5500, 7500]
/** The server is known to answer: what does not come is kept away. */
const ProbeSchedule: readonly number[] = [500, 1000, 1500, 2000, 3500]
const [MappingSocket, FilteringSocket, HairpinSocket] = [0, 1, 2] as const

export class NatDiscovery implements Machine<NatDiscoveryEvent, SocketDatagram> {
  readonly counters: Readonly<QuestionsCounters>
  readonly #options: NatDiscoveryOptions
  readonly #questions: Questions
  readonly #events: NatDiscoveryEvent[] = []
  readonly #answers = new Map<SocketAddress, Answer>()
  readonly #samples: MappingSample[] = []
  #step: NatDiscoveryStep | 'waiting' | 'done' | undefined
  /** The server that is asked further. */
  #server: { readonly address: SocketAddress; readonly other: SocketAddress | undefined } | undefined
  #mapped: SocketAddress | undefined
  /** Questions of this step that are under way. */
  #open = 0
  #fromOther: Answer | undefined
  #fromOtherPort: Answer | undefined
  /** Whether the server's other endpoints answer at all, once they are asked themselves. */
  #otherAnswers = false
  #otherPortAnswers = false
  #hairpin: boolean | undefined
  #isPreserved = true

  constructor(options: NatDiscoveryOptions) {
    this.#options = options
    this.#questions = new Questions(options.random)
    this.counters = this.#questions.counters
  }

  /** Begins. Does nothing where it has begun already. */
  start(now: number): void {
    if (this.#step !== undefined) return
    this.#enter('asking')
    for (const server of this.#options.servers) {
      const question = { socket: MappingSocket, destination: server, schedule: AskSchedule }
      this.#questions.ask(now, question, (at, answer) => this.#handleServer(at, server, answer))
    }
    if (this.#options.servers.length === 0) this.#finish()
  }

  /** @param socket the number of the socket that it came to */
  handleDatagram(now: number, socket: number, source: SocketAddress, bytes: Uint8Array): void {
    this.#questions.handleDatagram(now, socket, source, bytes)
  }

  handleTimeout(now: number): void {
    this.#questions.handleTimeout(now)
  }

  pollTransmit(): SocketDatagram | undefined {
    return this.#questions.pollTransmit()
  }

  pollEvent(): NatDiscoveryEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return this.#questions.pollTimeout()
  }

  #handleServer(now: number, server: SocketAddress, answer: Answer): void {
    this.#answers.set(server, answer)
    if (answer.type === 'answered') this.#note(MappingSocket, server, answer.mapped)
    if (this.#step === 'asking') {
      const isLast = this.#answers.size === this.#options.servers.length
      if (answer.type === 'answered' && answer.other !== undefined) this.#choose(now, server, answer)
      else if (isLast) this.#chooseAny(now)
    } else if (this.#step === 'waiting') this.#finish()
  }

  /** None has another address: the first that has answered serves for the rest. */
  #chooseAny(now: number): void {
    for (const server of this.#options.servers) {
      const answer = this.#answers.get(server)
      if (answer?.type === 'answered') {
        this.#choose(now, server, answer)
        return
      }
    }
    this.#finish()
  }

  #choose(
    now: number,
    address: SocketAddress,
    { mapped, other }: Extract<Answer, { type: 'answered' }>,
  ): void {
    this.#server = { address, other }
    this.#mapped = mapped
    this.#enter('filtering')
    if (other !== undefined) {
      const ask = (
        change: { address: boolean; port: boolean },
        source: SocketAddress,
        on: (answer: Answer) => void,
      ) =>
        this.#ask(
          now,
          {
            socket: FilteringSocket,
            destination: address,
            source,
            attributes: [changeRequestAttribute(change)],
            schedule: ProbeSchedule,
          },
          (_, answer) => on(answer),
        )
      ask({ address: true, port: true }, other, (answer) => {
        this.#fromOther = answer
      })
      ask({ address: false, port: true }, { address: address.address, port: other.port }, (answer) => {
        this.#fromOtherPort = answer
      })
    }
    if (judgeMapping(this.#local, this.#samples) !== 'none') this.#startHairpin(now, address, mapped)
    if (this.#open === 0) this.#startMapping(now)
  }

  /** RFC 5780 section 4.4, both ways: a strict filter wants that each has sent to the other. */
  #startHairpin(now: number, server: SocketAddress, mapped: SocketAddress): void {
    const question = { socket: HairpinSocket, destination: server, schedule: AskSchedule }
    this.#ask(now, question, (at, answer) => {
      if (answer.type !== 'answered') return
      this.#note(HairpinSocket, server, answer.mapped)
      this.#hairpin = false
      const ways = [
        [HairpinSocket, mapped, MappingSocket],
        [MappingSocket, answer.mapped, HairpinSocket],
      ] as const
      for (const [socket, destination, answeredAt] of ways) {
        const probe = { socket, destination, answeredAt, toOurselves: true, schedule: ProbeSchedule }
        this.#ask(at, probe, (_, { type }) => {
          if (type === 'arrived') this.#hairpin = true
        })
      }
    })
  }

  /** RFC 5780 section 4.3, and the server's other port, so that it is known to answer from there. */
  #startMapping(now: number): void {
    this.#enter('mapping')
    const { address, other } = this.#server ?? {}
    if (address === undefined || other === undefined) {
      this.#finishWhenAllAnswered()
      return
    }
    const ask = (destination: SocketAddress, onAnswered: () => void): void =>
      this.#ask(now, { socket: MappingSocket, destination, schedule: AskSchedule }, (_, answer) => {
        if (answer.type !== 'answered') return
        this.#note(MappingSocket, destination, answer.mapped)
        onAnswered()
      })
    ask({ address: other.address, port: address.port }, () => undefined)
    ask(other, () => {
      this.#otherAnswers = true
    })
    ask({ address: address.address, port: other.port }, () => {
      this.#otherPortAnswers = true
    })
  }

  #ask(now: number, question: Question, onAnswer: (now: number, answer: Answer) => void): void {
    this.#open += 1
    this.#questions.ask(now, question, (at, answer) => {
      this.#open -= 1
      onAnswer(at, answer)
      if (this.#open > 0) return
      if (this.#step === 'filtering') this.#startMapping(at)
      else if (this.#step === 'mapping') this.#finishWhenAllAnswered()
    })
  }

  #note(socket: number, destination: SocketAddress, mapped: SocketAddress): void {
    if (socket === MappingSocket) this.#samples.push({ destination, mapped })
    if (mapped.port !== this.#options.sockets[socket]?.port) this.#isPreserved = false
  }

  #finishWhenAllAnswered(): void {
    this.#step = 'waiting'
    this.#finish()
  }

  #finish(): void {
    const { servers } = this.#options
    if (this.#answers.size < servers.length) return
    this.#step = 'done'
    const mapping = judgeMapping(this.#local, this.#samples)
    const reflexive = new Map(this.#samples.map(({ mapped }) => [`${mapped.address} ${mapped.port}`, mapped]))
    const result: NatDiscoveryResult = {
      local: this.#local,
      servers: servers.map((server) => ({ server, answer: this.#answers.get(server) ?? { type: 'silent' } })),
      reflexive: [...reflexive.values()],
      mapping,
      filtering: this.#judgeFiltering(),
      hairpin: mapping === 'none' ? undefined : this.#hairpin,
      portPreserved: this.#mapped === undefined ? undefined : this.#isPreserved,
      portsPredictable: this.#mapped === undefined ? undefined : isPredictable(mapping, this.#samples),
      server: this.#server?.address,
    }
    this.#events.push({ type: 'done', result })
  }

  /** RFC 5780 section 4.4; silence says something only where the other endpoints are known to answer. */
  #judgeFiltering(): Filtering {
    const [other, otherPort] = [this.#fromOther?.type, this.#fromOtherPort?.type]
    if (other === 'answered') return 'endpoint-independent'
    if (other !== 'silent' || !this.#otherAnswers) return 'unknown'
    if (otherPort === 'answered') return 'address-dependent'
    return otherPort === 'silent' && this.#otherPortAnswers ? 'address-and-port-dependent' : 'unknown'
  }

  get #local(): SocketAddress {
    return this.#options.sockets[MappingSocket]
  }

  #enter(step: NatDiscoveryStep): void {
    this.#step = step
    this.#events.push({ type: 'step', step })
  }
}
