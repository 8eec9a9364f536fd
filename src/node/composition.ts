/**
 * The composition root: the only place that joins ports to implementations and adapters to their names. An
 * adapter is imported when it is asked for, not before.
 */
import { Container } from 'inversify'
import type { AdapterDefinition } from '../adapters/adapter-definition.js'
import { registry } from '../adapters/index.js'
import type { AddressAllocator } from '../core/address-allocator.js'
import { UsageError } from '../core/errors.js'
import type { Clock, Crypto, Logger, Random, Wall } from '../core/ports.js'
import type { AdapterState, SignallingAdapter } from '../core/signalling-adapter.js'
import type { NoiseCrypto } from '../transports/wireguard/crypto.js'
import { systemClock, systemRandom, systemWall } from './clock.js'
import type { Config } from './config/schema.js'
import { nodeCrypto } from './crypto.js'
import { LazyAdapter } from './lazy-adapter.js'
import { nodeNoiseCrypto } from './noise-crypto.js'

/** Everything that a room needs from outside, chosen. */
export interface Composition {
  readonly clock: Clock
  readonly wall: Wall
  readonly random: Random
  readonly crypto: Crypto
  readonly noiseCrypto: NoiseCrypto
  readonly logger: Logger
  /** What a record takes over the fastest backend in use, in ms. */
  readonly signallingLatencyMs: number
  /** Whether every backend in use is on loopback. */
  readonly allLoopback: boolean
  /** Makes the adapters that the configuration names. */
  readonly adapters: (
    onState: (adapter: string, state: AdapterState) => void,
    onWrong: (error: unknown) => void,
  ) => readonly SignallingAdapter[]
  /** Makes what gives out addresses for all hosts: of the first backend named that can. */
  readonly allocator: (() => Promise<AddressAllocator>) | undefined
}

type MakeAdapter = (onState: (state: AdapterState) => void) => Promise<SignallingAdapter>

const Service = {
  Clock: Symbol('Clock'),
  Wall: Symbol('Wall'),
  Random: Symbol('Random'),
  Crypto: Symbol('Crypto'),
  NoiseCrypto: Symbol('NoiseCrypto'),
  Logger: Symbol('Logger'),
  SignallingAdapter: Symbol('SignallingAdapter'),
} as const

/**
 * @param own adapters that are not gonet's own, by name
 * @throws UsageError `signal-unknown` where the configuration names a backend that there is not
 */
export function compose(
  config: Pick<Config, 'signal' | 'adapters'>,
  logger: Logger,
  own: ReadonlyMap<string, AdapterDefinition> = new Map(),
): Composition {
  const known = new Map([...registry, ...own])
  const container = new Container()
  container.bind<Clock>(Service.Clock).toConstantValue(systemClock)
  container.bind<Wall>(Service.Wall).toConstantValue(systemWall)
  container.bind<Random>(Service.Random).toConstantValue(systemRandom)
  container.bind<Crypto>(Service.Crypto).toConstantValue(nodeCrypto)
  container.bind<NoiseCrypto>(Service.NoiseCrypto).toConstantValue(nodeNoiseCrypto)
  container.bind<Logger>(Service.Logger).toConstantValue(logger)
  for (const definition of known.values()) bindAdapter(container, definition, config)
  const definitions = config.signal.map((name) => definitionOf(known, name))
  return {
    clock: container.get<Clock>(Service.Clock),
    wall: container.get<Wall>(Service.Wall),
    random: container.get<Random>(Service.Random),
    crypto: container.get<Crypto>(Service.Crypto),
    noiseCrypto: container.get<NoiseCrypto>(Service.NoiseCrypto),
    logger: container.get<Logger>(Service.Logger),
    signallingLatencyMs: Math.min(...definitions.map(({ traits }) => traits.typicalLatencyMs)),
    allLoopback: definitions.every((definition) => definition.loopbackOnly(config.adapters[definition.name])),
    allocator: allocatorOf(definitions, config, logger),
    adapters: (onState, onWrong) => {
      let turn = Promise.resolve()
      return definitions.map(({ name, traits }) => {
        const adapter = new LazyAdapter({
          name,
          traits,
          clock: systemClock,
          turn,
          onState: (state) => onState(name, state),
          onWrong,
          make: container.get<MakeAdapter>(Service.SignallingAdapter, { name }),
        })
        turn = adapter.nextTurn
        return adapter
      })
    },
  }
}

function allocatorOf(
  definitions: readonly AdapterDefinition[],
  config: Pick<Config, 'adapters'>,
  logger: Logger,
): Composition['allocator'] {
  const definition = definitions.find((each) => each.allocator !== undefined)
  if (definition === undefined) return undefined
  const context = { clock: systemClock, random: systemRandom, logger }
  return async () => {
    const allocator = await definition.allocator?.(config.adapters[definition.name], context)
    if (allocator === undefined) throw new TypeError(`${definition.name} allocates no addresses`)
    return allocator
  }
}

function bindAdapter(
  container: Container,
  definition: AdapterDefinition,
  config: Pick<Config, 'adapters'>,
): void {
  container
    .bind<MakeAdapter>(Service.SignallingAdapter)
    .toResolvedValue(
      (clock: Clock, random: Random, logger: Logger): MakeAdapter =>
        (onState) =>
          definition.create(config.adapters[definition.name], { onState, clock, random, logger }),
      [Service.Clock, Service.Random, Service.Logger],
    )
    .whenNamed(definition.name)
}

function definitionOf(known: ReadonlyMap<string, AdapterDefinition>, name: string): AdapterDefinition {
  const definition = known.get(name)
  if (definition === undefined) {
    throw new UsageError('signal-unknown', `There is no signalling backend '${name}'`, {
      advice: `Choose from: ${Array.from(known.keys()).join(', ')}`,
    })
  }
  return definition
}
