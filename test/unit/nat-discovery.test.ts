/** NAT behaviour discovery against the simulator's NATs, under a clock that jumps. */
import { describe, expect, it } from 'vitest'
import { formatSocketAddress, type Machine, type SocketAddress } from '../../src/core/machine.js'
import { isPredictable, judgeMapping, natName } from '../../src/transports/nat/behaviour.js'
import { NatDiscovery, type NatDiscoveryResult } from '../../src/transports/nat/discovery.js'
import {
  type BindingLifetime,
  BindingLifetimeSockets,
  BindingLifetimeTest,
} from '../../src/transports/nat/lifetime.js'
import { isPlausible } from '../../src/transports/nat/plausible.js'
import { CommonSides, predictOutcome, type Side, sideOf } from '../../src/transports/nat/prediction.js'
import type { QuestionsCounters, SocketDatagram } from '../../src/transports/nat/questions.js'
import {
  changeRequestAttribute,
  errorCodeAttribute,
  readErrorCode,
  readUnknownAttributes,
  responsePortAttribute,
  xorMappedAddressAttribute,
} from '../../src/transports/stun/attributes.js'
import { answerBinding } from '../../src/transports/stun/binding.js'
import { AttributeType, BehaviourAttributeType, Binding } from '../../src/transports/stun/constants.js'
import {
  type Attribute,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type Message,
} from '../../src/transports/stun/message.js'
import { predictOutcome as oracle } from '../sim/nat-oracle.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { createNat, type Nat, type NatPath, type NatType, NatTypes, natPath } from '../sim/simulated-nat.js'

const Public = '203.0.113.9'
const server: SocketAddress = { address: '198.51.100.1', port: 3478 }
const other: SocketAddress = { address: '198.51.100.2', port: 3479 }
const second: SocketAddress = { address: '198.51.100.7', port: 3478 }
const dependences = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const

interface ServerHabits {
  /** What it says its other address is; the true one by default, null for none. */
  readonly announced?: SocketAddress | null
  /** What it makes of CHANGE-REQUEST and RESPONSE-PORT. */
  readonly changes?: 'done' | 'ignored' | 'refused' | 'dropped'
  /** Where it is not heard from, and does not hear. */
  readonly deaf?: readonly SocketAddress[]
  /** Where it says it sees everybody. */
  readonly mapped?: SocketAddress
  /** Where answers to CHANGE-REQUEST really come from. */
  readonly from?: SocketAddress
  /** Which datagrams of the client's are lost. */
  readonly isLost?: (datagram: SocketDatagram) => boolean
}

interface SocketMachine<Event> extends Machine<Event, SocketDatagram> {
  readonly counters: Readonly<QuestionsCounters>
  start(now: number): void
  handleDatagram(now: number, socket: number, source: SocketAddress, bytes: Uint8Array): void
}

/** One client behind a NAT, and servers that are 10 ms away. */
class World {
  now = 5000
  readonly sent: SocketDatagram[] = []
  readonly local: string
  readonly #nat: Nat
  readonly #random: SeededRandom
  readonly #queue: { readonly at: number; readonly action: () => void }[] = []

  constructor(
    path: NatPath,
    readonly habits: ServerHabits = {},
    readonly loss = 0,
    seed = 'world',
  ) {
    this.#random = new SeededRandom(seed)
    this.#nat = createNat(path, this.#random, Public)
    const isTranslated = path !== 'no UDP' && path.some(({ mapping }) => mapping !== 'none')
    this.local = isTranslated ? '10.0.0.2' : '192.0.2.9'
  }

  socket(index: number): SocketAddress {
    return { address: this.local, port: 40_001 + 1777 * index }
  }

  run<Event extends { readonly type: string }>(machine: SocketMachine<Event>): Event[] {
    const events: Event[] = []
    const drain = (): void => {
      for (let out = machine.pollTransmit(); out !== undefined; out = machine.pollTransmit()) {
        this.sent.push(out)
        this.#carry(machine, out)
      }
      for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent())
        events.push(event)
    }
    machine.start(this.now)
    machine.start(this.now)
    drain()
    while (events.at(-1)?.type !== 'done') {
      this.#queue.sort((a, b) => a.at - b.at)
      const deadline = machine.pollTimeout() ?? Infinity
      const next = this.#queue[0]
      if (next !== undefined && next.at <= deadline) {
        this.#queue.shift()
        this.now = Math.max(this.now, next.at)
        next.action()
      } else {
        expect(deadline).toBeLessThan(Infinity)
        this.now = Math.max(this.now, deadline)
        machine.handleTimeout(this.now)
      }
      drain()
    }
    expect(machine.pollTimeout()).toBeUndefined()
    return events
  }

  discover(servers: readonly SocketAddress[] = [server]): NatDiscoveryResult {
    const sockets = [this.socket(0), this.socket(1), this.socket(2)] as const
    const machine = new NatDiscovery({ random: this.#random, servers, sockets })
    const [done] = this.run(machine).slice(-1)
    if (done?.type !== 'done') throw new Error('it did not end')
    return done.result
  }

  lifetime(): BindingLifetime {
    const [done] = this.run(new BindingLifetimeTest({ random: this.#random, server })).slice(-1)
    if (done?.type !== 'done') throw new Error('it did not end')
    return done.result
  }

  #carry<Event>(machine: SocketMachine<Event>, { socket, destination, bytes }: SocketDatagram): void {
    const local = this.socket(socket)
    if (this.habits.isLost?.({ socket, destination, bytes }) === true) return
    if (this.#nat.owns(destination.address)) {
      const turned = this.#nat.hairpin(this.now, local, destination)
      if (turned !== undefined) this.#arrive(machine, turned.source, turned.destination, bytes)
      return
    }
    const outside = this.#nat.outbound(this.now, local, destination)
    if (outside === undefined) return
    this.#later(() => {
      const answer = this.#answer(destination, outside, decodeMessage(bytes))
      if (answer === undefined) return
      this.#later(() => {
        const inside = this.#nat.inbound(this.now, answer.from, answer.to)
        if (inside !== undefined) this.#arrive(machine, answer.from, inside, answer.bytes)
      })
    })
  }

  #arrive<Event>(
    machine: SocketMachine<Event>,
    source: SocketAddress,
    { port }: SocketAddress,
    bytes: Uint8Array,
  ): void {
    const socket = Array.from({ length: BindingLifetimeSockets }, (_, index) => index).find(
      (index) => this.socket(index).port === port,
    )
    if (socket !== undefined) this.#later(() => machine.handleDatagram(this.now, socket, source, bytes))
  }

  #answer(
    at: SocketAddress,
    source: SocketAddress,
    request: Message,
  ): { from: SocketAddress; to: SocketAddress; bytes: Uint8Array } | undefined {
    const { announced = other, changes = 'done', deaf = [], mapped = source } = this.habits
    const isDeaf = (endpoint: SocketAddress): boolean =>
      deaf.map(formatSocketAddress).includes(formatSocketAddress(endpoint))
    if (![server, other, second].some(({ address }) => address === at.address) || isDeaf(at)) return undefined
    const change = findAttribute(request, BehaviourAttributeType.ChangeRequest)?.[3] ?? 0
    const port = findAttribute(request, BehaviourAttributeType.ResponsePort)
    const wants = change !== 0 || port !== undefined
    if (wants && changes === 'refused') return { from: at, to: source, bytes: answerBinding(request, source) }
    if (wants && changes === 'dropped') return undefined
    const does = wants && changes === 'done'
    const opposite = (one: SocketAddress): SocketAddress => ({
      address:
        (change & 4) === 0 ? one.address : one.address === server.address ? other.address : server.address,
      port: (change & 2) === 0 ? one.port : one.port === server.port ? other.port : server.port,
    })
    const from = does && change !== 0 ? (this.habits.from ?? opposite(at)) : at
    if (isDeaf(from)) return undefined
    const { transactionId } = request
    const attributes: Attribute[] = [xorMappedAddressAttribute(mapped, transactionId)]
    if (announced !== null) attributes.push(otherAddress(announced))
    const to =
      does && port !== undefined ? { ...source, port: ((port[0] ?? 0) << 8) | (port[1] ?? 0) } : source
    return {
      from,
      to,
      bytes: encodeMessage({ class: 'success', method: Binding, transactionId, attributes }),
    }
  }

  #later(action: () => void): void {
    if (this.#random.fraction() >= this.loss) this.#queue.push({ at: this.now + 5, action })
  }
}

function otherAddress(address: SocketAddress): Attribute {
  const id = new Uint8Array(12)
  const { value } = xorMappedAddressAttribute(address, id)
  const cookie = [0, 0, 0x21, 0x12, 0x21, 0x12, 0xa4, 0x42]
  return {
    type: BehaviourAttributeType.OtherAddress,
    value: value.map((byte, index) => byte ^ (cookie[index] ?? 0)),
  }
}

const natTypes = (Object.keys(NatTypes) as NatType[]).filter((type) => NatTypes[type] !== 'no UDP')
const boxes = dependences.flatMap((mapping) =>
  dependences.flatMap((filtering) =>
    (['preserved', 'sequential', 'random'] as const).flatMap((ports) =>
      [true, false].map((hairpin) => ({ mapping, filtering, ports, hairpin })),
    ),
  ),
)

function sideOfPath(path: NatPath): Side {
  if (path === 'no UDP') return path
  const strictest = (all: readonly string[]) =>
    [...dependences].reverse().find((each) => all.includes(each)) ?? 'endpoint-independent'
  const mapping = strictest(path.map((box) => box.mapping))
  return {
    mapping: path.every((box) => box.mapping === 'none') ? 'none' : mapping,
    filtering: strictest(path.map((box) => box.filtering)),
    isPredictable: mapping === 'endpoint-independent' || path.every(({ ports }) => ports !== 'random'),
  }
}

describe('NAT behaviour discovery', () => {
  it.each(natTypes)('tells what %s does', (type) => {
    const world = new World(natPath(type))
    const result = world.discover()
    const side = sideOfPath(natPath(type)) as Exclude<Side, 'no UDP'>
    expect(result).toMatchObject({ mapping: side.mapping, filtering: side.filtering, server })
    expect(result.portsPredictable).toBe(side.isPredictable)
    expect(sideOf(result)).toEqual(side)
    expect(result.local).toEqual(world.socket(0))
    expect(result.reflexive[0]?.address).toBe(side.mapping === 'none' ? world.local : Public)
    expect(result.portPreserved).toBe(!type.includes('symmetric'))
    expect(result.servers).toMatchObject([{ server, answer: { type: 'answered', other } }])
  })

  it.each(boxes)('tells mapping $mapping, filtering $filtering, ports $ports, hairpin $hairpin', (box) => {
    for (const loss of [0, 0.05]) {
      const result = new World(natPath('symmetric', box), {}, loss).discover()
      expect(result).toMatchObject({ mapping: box.mapping, filtering: box.filtering })
      expect(result.portsPredictable).toBe(box.mapping === 'endpoint-independent' || box.ports !== 'random')
      // A port that is for one destination only lets in nobody else, unless it lets in everybody.
      const isOpen = box.mapping === 'endpoint-independent' || box.filtering === 'endpoint-independent'
      expect(result.hairpin).toBe(box.hairpin && isOpen)
    }
  })

  it('ends where nobody answers, within 8 s, and knows nothing then', () => {
    const world = new World('no UDP')
    const result = world.discover([server, second])
    expect(result).toMatchObject({ mapping: 'unknown', filtering: 'unknown', reflexive: [] })
    expect([result.hairpin, result.portPreserved, result.portsPredictable, result.server]).toEqual(
      Array(4).fill(undefined),
    )
    expect(world.now - 5000).toBe(7500)
    expect(world.sent).toHaveLength(10)
    expect(new World([]).discover([])).toMatchObject({ servers: [], reflexive: [] })
  })

  it('sends few packets, to servers and to itself only, and ends within 20 s in the worst case', () => {
    const world = new World(natPath('symmetric'), { deaf: [other, { ...server, port: other.port }] })
    world.discover()
    expect(world.sent.length).toBeLessThan(50)
    const targets = new Set(world.sent.map(({ destination }) => destination.address))
    expect(targets).toEqual(new Set([server.address, other.address, Public]))
    expect(world.now - 5000).toBeLessThan(20_000)
  })

  it('sends nothing to itself where there is no NAT', () => {
    for (const type of ['open', 'firewall'] as const) {
      const world = new World(natPath(type))
      expect(world.discover().hairpin).toBeUndefined()
      expect(world.sent.some(({ destination }) => destination.address === world.local)).toBe(false)
    }
  })

  it('judges the filter before it sends to the other addresses, from a socket that never does', () => {
    const world = new World(natPath('restricted'))
    world.discover()
    const byFilter = world.sent.filter(({ socket }) => socket === 1)
    expect(new Set(byFilter.map(({ destination }) => formatSocketAddress(destination)))).toEqual(
      new Set([formatSocketAddress(server)]),
    )
    expect(byFilter.length).toBeGreaterThanOrEqual(2)
  })

  it.each([
    ['does nothing of CHANGE-REQUEST', { changes: 'ignored' }],
    ['refuses CHANGE-REQUEST', { changes: 'refused' }],
    ['has no other address', { announced: null }],
    ['announces an address that does not answer', { deaf: [other] }],
    ['announces a port that does not answer', { deaf: [{ ...server, port: other.port }] }],
    ['announces its own address', { announced: { ...server, port: 3479 } }],
    ['announces its own port', { announced: { ...other, port: 3478 } }],
    ['announces loopback', { announced: { address: '127.0.0.1', port: 3479 } }],
    ['announces a private address', { announced: { address: '10.0.0.1', port: 3479 } }],
    ['announces the other family', { announced: { address: '2001:db8::1', port: 3479 } }],
  ] as readonly (readonly [string, ServerHabits])[])(
    'says that the filter is unknown where a server %s',
    (_, habits) => {
      const world = new World(natPath('port-restricted'), habits)
      expect(world.discover().filtering).toBe('unknown')
      const { announced } = habits
      const isTrue = announced === undefined || announced === null || announced.address === server.address
      if (!isTrue) expect(world.sent.some(({ destination }) => destination.port === 3479)).toBe(false)
    },
  )

  it('takes an answer to CHANGE-REQUEST from the announced address only', () => {
    const from = { ...other, port: 3480 }
    const world = new World(natPath('full-cone'), { from })
    expect(world.discover().filtering).not.toBe('endpoint-independent')
    expect(new World(natPath('full-cone'), { from: other }).discover().filtering).toBe('endpoint-independent')
  })

  it.each(['127.0.0.1', '10.0.0.2', '0.0.0.0', '224.0.0.1', '255.255.255.255', '100.64.0.1'])(
    'does not believe a server that sees it at %s, and sends nothing there',
    (address) => {
      const world = new World(natPath('full-cone'), { mapped: { address, port: 4242 } })
      const result = world.discover()
      expect(result).toMatchObject({ reflexive: [], mapping: 'unknown', filtering: 'unknown' })
      expect(result.servers[0]?.answer).toEqual({ type: 'implausible', mapped: { address, port: 4242 } })
      expect(world.sent).toHaveLength(1)
    },
  )

  it('compares what two servers see, where neither has another address', () => {
    const plain = { announced: null }
    const seen = (type: NatType): string => new World(natPath(type), plain).discover([server, second]).mapping
    expect(seen('port-restricted')).toBe('endpoint-independent')
    expect(seen('symmetric')).toBe('destination-dependent')
    expect(seen('firewall')).toBe('none')
    expect(new World(natPath('port-restricted'), plain).discover().mapping).toBe('unknown')
    const ports = [server, { ...server, port: 3479 }, second]
    expect(new World(natPath('address-symmetric'), plain).discover(ports).mapping).toBe('address-dependent')
    expect(new World(natPath('symmetric'), plain).discover(ports).mapping).toBe('address-and-port-dependent')
  })

  it('asks the next server where the first is silent', () => {
    const silent = { address: '198.51.100.99', port: 3478 }
    const result = new World(natPath('restricted')).discover([silent, server])
    expect(result).toMatchObject({ mapping: 'endpoint-independent', filtering: 'address-dependent', server })
    expect(result.servers[0]).toEqual({ server: silent, answer: { type: 'silent' } })
  })

  it('takes no answer with a wrong id, from elsewhere, or to another socket, and counts them', () => {
    const sockets = [0, 1, 2].map((index) => new World([]).socket(index))
    const options = { random: new SeededRandom('x'), servers: [server], sockets: sockets as never }
    const machine = new NatDiscovery(options)
    machine.start(0)
    const request = decodeMessage(machine.pollTransmit()!.bytes)
    const { attributes } = decodeMessage(answerBinding(request, { address: Public, port: 1 }))
    const success = {
      class: 'success',
      method: Binding,
      transactionId: request.transactionId,
      attributes,
    } as const
    machine.handleDatagram(1, 0, server, encodeMessage({ ...success, transactionId: new Uint8Array(12) }))
    machine.handleDatagram(1, 0, { ...server, port: 3479 }, encodeMessage(success))
    machine.handleDatagram(1, 1, server, encodeMessage(success))
    machine.handleDatagram(1, 0, server, encodeMessage({ ...success, class: 'request' }))
    machine.handleDatagram(1, 0, server, encodeMessage({ ...success, method: 2 }))
    machine.handleDatagram(1, 0, server, Uint8Array.of(1, 2, 3))
    expect(machine.counters).toEqual({ malformed: 1, unasked: 3, unexpected: 2 })
    expect(machine.pollEvent()).toEqual({ type: 'step', step: 'asking' })
    expect(machine.pollEvent()).toBeUndefined()
    machine.handleDatagram(2, 0, server, encodeMessage(success))
    expect(machine.pollEvent()).toEqual({ type: 'step', step: 'filtering' })
  })

  it('says with which error a server refuses', () => {
    const sockets = [0, 1, 2].map((index) => new World([]).socket(index))
    const options = { random: new SeededRandom('x'), servers: [server], sockets: sockets as never }
    const machine = new NatDiscovery(options)
    machine.start(0)
    const { transactionId } = decodeMessage(machine.pollTransmit()!.bytes)
    const attributes = [errorCodeAttribute({ code: 401, reason: 'no' })]
    machine.handleDatagram(
      1,
      0,
      server,
      encodeMessage({ class: 'error', method: Binding, transactionId, attributes }),
    )
    machine.pollEvent()
    const done = machine.pollEvent()
    expect(done).toMatchObject({ result: { servers: [{ answer: { type: 'refused', code: 401 } }] } })
  })

  it('is not understood by servers of ours, which say so', () => {
    for (const attribute of [
      changeRequestAttribute({ address: true, port: true }),
      responsePortAttribute(1),
    ]) {
      const id = new Uint8Array(12)
      const request = {
        class: 'request',
        method: Binding,
        transactionId: id,
        attributes: [attribute],
      } as const
      const answer = decodeMessage(answerBinding(request, server))
      expect(answer.class).toBe('error')
      expect(readErrorCode(findAttribute(answer, AttributeType.ErrorCode)!)?.code).toBe(420)
      const unknown = findAttribute(answer, AttributeType.UnknownAttributes)!
      expect(readUnknownAttributes(unknown)).toEqual([attribute.type])
    }
  })
})

describe('the life of a binding', () => {
  it.each([3, 12, 30, 65, 120, 300].map((seconds) => [seconds] as const))('of %i s is found', (seconds) => {
    for (const type of ['full-cone', 'port-restricted', 'symmetric', 'firewall'] as const) {
      const world = new World(natPath(type, { timeoutMs: seconds * 1000 }))
      const result = world.lifetime()
      if (result.type !== 'measured') throw new Error('unknown')
      expect(result.aboveMs).toBeLessThanOrEqual(seconds * 1000)
      expect(result.belowMs).toBeGreaterThanOrEqual(seconds * 1000 - 100)
      expect(result.belowMs! - result.aboveMs).toBeLessThanOrEqual(Math.max(1250, (seconds * 1000) / 7))
      expect(world.now - 5000).toBeLessThan(4 * seconds * 1000 + 20_000)
      expect(world.sent.length).toBeLessThan(120)
    }
  })

  it('is longer than what is tried, where it is', () => {
    const result = new World(natPath('port-restricted', { timeoutMs: 1_000_000 })).lifetime()
    expect(result).toEqual({ type: 'measured', aboveMs: 320_000, belowMs: undefined })
  })

  it('is found where packets are lost', () => {
    for (const seed of ['a', 'b', 'c', 'd']) {
      const result = new World(natPath('port-restricted', { timeoutMs: 30_000 }), {}, 0.03, seed).lifetime()
      if (result.type !== 'measured') throw new Error('unknown')
      expect(result.aboveMs).toBeLessThanOrEqual(30_000)
      expect(result.belowMs).toBeGreaterThanOrEqual(29_000)
    }
  })

  it('is found where one probe is lost, since later ones live', () => {
    const probes = new Set<string>()
    // After the trial and those of 10 and 20 s comes the one of 11.25 s.
    const isLost = ({ bytes, socket }: SocketDatagram): boolean => {
      if (socket !== 0) return false
      const id = decodeMessage(bytes).transactionId.join()
      probes.add(id)
      return [...probes].indexOf(id) === 3
    }
    const result = new World(natPath('port-restricted', { timeoutMs: 16_000 }), { isLost }).lifetime()
    expect(result).toEqual({ type: 'measured', aboveMs: 15_000, belowMs: 16_250 })
  })

  it.each([
    { changes: 'ignored' },
    { changes: 'refused' },
    { changes: 'dropped' },
    { deaf: [server] },
  ] as const)('is unknown with a server that answers nowhere else: %j', (habits) => {
    expect(new World(natPath('port-restricted'), habits).lifetime()).toEqual({ type: 'unknown' })
  })
})

describe('predictOutcome', () => {
  const paths: readonly (readonly [string, NatPath])[] = [
    ...(Object.keys(NatTypes) as NatType[]).map((type) => [type, natPath(type)] as const),
    ...boxes.map((box) => [JSON.stringify(box), natPath('symmetric', box)] as const),
    ...dependences.map((filtering) => [`no NAT, ${filtering}`, natPath('firewall', { filtering })] as const),
  ]

  it('says what the oracle says, of every pair', () => {
    let outcomes = new Set<string>()
    for (const [one, a] of paths) {
      for (const [two, b] of paths) {
        const outcome = predictOutcome(sideOfPath(a), sideOfPath(b))
        expect(outcome, `${one} and ${two}`).toBe(oracle(a, b))
        outcomes = outcomes.add(outcome)
      }
    }
    expect(outcomes.size).toBe(4)
  })

  it('has the sides that people know by name', () => {
    const types: Readonly<Record<string, NatType>> = {
      open: 'open',
      firewall: 'firewall',
      'full cone': 'full-cone',
      'restricted cone': 'restricted',
      'port-restricted cone': 'port-restricted',
      'symmetric, ports in order': 'symmetric-sequential',
      'symmetric, random ports': 'symmetric',
      blocked: 'udp-blocked',
    }
    expect(Object.keys(CommonSides)).toEqual(Object.keys(types))
    for (const [name, side] of Object.entries(CommonSides)) {
      expect(side, name).toEqual(sideOfPath(natPath(types[name]!)))
      if (side === 'no UDP' || name.startsWith('symmetric')) continue
      expect(natName(side.mapping, side.filtering)).toBe(name)
    }
  })

  it('takes what is not known for the worst that it can be', () => {
    const known = {
      mapping: 'destination-dependent',
      filtering: 'unknown',
      portsPredictable: undefined,
    } as const
    expect(sideOf(known)).toEqual(CommonSides['symmetric, random ports'])
    expect(sideOf({ ...known, mapping: 'unknown' })).toBeUndefined()
  })
})

describe('judgeMapping', () => {
  const local = { address: '10.0.0.2', port: 1 }
  const at = (port: number): SocketAddress => ({ address: Public, port })

  it('needs two destinations', () => {
    expect(judgeMapping(local, [])).toBe('unknown')
    expect(judgeMapping(local, [{ destination: server, mapped: at(1) }])).toBe('unknown')
    expect(judgeMapping(local, [{ destination: server, mapped: local }])).toBe('none')
    const ports = [server, { ...server, port: 9 }].map((destination) => ({ destination, mapped: at(1) }))
    expect(judgeMapping(local, ports)).toBe('unknown')
  })

  it('counts another address as another mapping', () => {
    const elsewhere = { destination: other, mapped: { address: '203.0.113.10', port: 1 } }
    expect(judgeMapping(local, [{ destination: server, mapped: at(1) }, elsewhere])).toBe(
      'destination-dependent',
    )
  })

  it('predicts from two ports at least', () => {
    const samples = [1000, 1002].map((port) => ({ destination: server, mapped: at(port) }))
    expect(isPredictable('address-and-port-dependent', samples)).toBe(true)
    expect(isPredictable('address-and-port-dependent', samples.slice(1))).toBeUndefined()
  })

  it('calls NATs by their names where the filter is not known', () => {
    expect(natName('none', 'unknown')).toBe('no NAT')
    expect(natName('endpoint-independent', 'unknown')).toBe('cone')
    expect(natName('destination-dependent', 'unknown')).toBe('symmetric')
    expect(natName('unknown', 'unknown')).toBe('unknown')
  })
})

describe('isPlausible', () => {
  it('lets a server of an inner network, or of this machine, see what is there', () => {
    const seen = (address: string, by: string): boolean =>
      isPlausible({ address, port: 9 }, { address: by, port: 1 })
    expect(seen('10.0.0.1', '192.168.1.1')).toBe(true)
    expect(seen('127.0.0.1', '127.0.0.1')).toBe(true)
    expect(seen('203.0.113.1', '10.0.0.1')).toBe(true)
    expect(seen('127.0.0.1', '10.0.0.1')).toBe(false)
    expect(seen('10.0.0.1', '203.0.113.1')).toBe(false)
    expect(seen('fd00::1', '2001:db8::1')).toBe(false)
    expect(seen('fd00::1', 'fd00::2')).toBe(true)
    expect(seen('::1', '2001:db8::1')).toBe(false)
    expect(seen('::', '2001:db8::1')).toBe(false)
    expect(seen('::ffff:10.0.0.1', '2001:db8::1')).toBe(false)
    expect(seen('2001:db8::9', '203.0.113.1')).toBe(false)
    expect(isPlausible({ address: '203.0.113.1', port: 0 }, server)).toBe(false)
  })
})
