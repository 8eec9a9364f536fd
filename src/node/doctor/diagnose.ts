/** Everything that gonet would use, looked at side by side. */
import { GonetError } from '../../core/errors.js'
import type { Logger } from '../../core/ports.js'
import type { TurnTransport } from '../../transports/turn/turn-url.js'
import { type Composition, compose } from '../composition.js'
import type { LoadedConfig } from '../config/load-config.js'
import { resolveTransport, type TransportSettings } from '../config/transport-settings.js'
import { discoverNat, type NatReport } from '../nat-discovery.js'
import type { State } from '../state.js'
import { checkBackend, judgeBackends } from './backends.js'
import { checkConfigFile, checkState } from './files.js'
import { checkClock, checkCryptography, checkInterfaces } from './machine.js'
import { checkPortMapping, type MappingCheck } from './mapping.js'
import { natRows, type Sides, sidesOf } from './nat.js'
import { checkNetwork, checkPort } from './network.js'
import { outlookRows } from './outlook.js'
import { checkRelay, type RelayCheck } from './relay.js'
import { checkRoom } from './room.js'
import { bounded, failed, type Row, thrown } from './row.js'

export interface DiagnoseOptions {
  readonly loaded: LoadedConfig
  readonly state: State
  readonly logger: Logger
  /** A room to look at from within, as `join` takes it. */
  readonly room: string | undefined
  /** How long the join may take, ms. */
  readonly timeoutMs: number
  /** Ends everything, and `diagnose` rejects with its reason. */
  readonly signal: AbortSignal
  /** Told what is still looked at, at each change. */
  readonly onProgress: (waiting: readonly string[]) => void
  /** How long a check may take, ms. Default 5000; backends that are slow by nature have more. */
  readonly limitMs?: number
}

const LimitMs = 5000
/** To tell what a NAT lets in takes that it does not answer in time, more than once. */
const NatLimitMs = 25_000

interface Context extends DiagnoseOptions {
  readonly limitMs: number
  readonly composition: Composition
  readonly transport: TransportSettings
  readonly waiting: Set<string>
}

/**
 * Looks at everything, then at the room. Whatever it has started has ended when it returns.
 * @returns a row for each check; where one of them has failed, a room would not work
 * @throws what `signal` is aborted with
 */
export async function diagnose(options: DiagnoseOptions): Promise<readonly Row[]> {
  const { loaded, state, logger, signal, room, limitMs = LimitMs } = options
  signal.throwIfAborted()
  const composition = compose(loaded.config, logger, loaded.ownAdapters)
  const transport = resolveTransport(loaded, composition.allLoopback)
  const context: Context = { ...options, limitMs, composition, transport, waiting: new Set() }
  const settled = await Promise.allSettled([
    watched('the network', context, () => checkNetwork({ ...composition, signal, limitMs })),
    checkPort(transport.port),
    checkInterfaces(loaded.config.network),
    Promise.all(loaded.config.signal.map((name) => backend(name, context))),
    nat(context),
    mapping(context),
    Promise.all(transport.turn.map((server) => relay(server, context))),
  ])
  signal.throwIfAborted()
  const [network, port, interfaces, backends, found, mapped, relays] = valuesOf(settled)
  const rows = [
    checkConfigFile(loaded),
    checkState(state),
    checkClock(composition.wall),
    checkCryptography(composition),
    ...network,
    ...port,
    ...judgeBackends(backends),
    ...found.rows,
    mapped.row,
    ...relayRows(relays, transport),
    ...outlookRows({
      sides: found.sides,
      isMapped: mapped.isMapped,
      relays: workingOf(relays),
      policy: transport.policy,
    }),
    ...interfaces,
  ]
  if (room === undefined) return rows
  const visit = await watched('the room', context, () => checkRoom(room, { ...options, ...composition }))
  signal.throwIfAborted()
  return [...rows, ...visit]
}

/**
 * The rows of the TURN servers. One that gives nothing fails where no path may go without a relay.
 * @param transport the settings in force
 */
export function relayRows(
  relays: readonly RelayCheck[],
  { policy }: Pick<TransportSettings, 'policy'>,
): readonly Row[] {
  const rows = relays.map(({ row }) => row)
  if (policy === 'relay' && workingOf(relays).length === 0) {
    const said = 'transport.policy is relay, and no TURN server of transport.turn gives one'
    const error = new GonetError('no-path', said, {
      advice: 'Name one that does, or set transport.policy to all',
    })
    return [...rows, failed('relays', error)]
  }
  if (relays.length > 0) return rows
  const detail = policy === 'direct' ? 'off: transport.policy is direct' : 'no TURN server is configured'
  return [{ what: 'relays', state: 'skipped', detail }]
}

function workingOf(relays: readonly RelayCheck[]): readonly TurnTransport[] {
  return relays.filter(({ row }) => row.state === 'ok').map(({ transport }) => transport)
}

function backend(name: string, context: Context): Promise<Row> {
  const { loaded, logger, signal, composition } = context
  const limitMs = context.limitMs
  return watched(name, context, () => checkBackend(name, { ...composition, loaded, logger, signal, limitMs }))
}

function relay(server: TransportSettings['turn'][number], context: Context): Promise<RelayCheck> {
  const { composition, signal, limitMs } = context
  return watched(server.url, context, () => checkRelay(server, { ...composition, signal, limitMs }))
}

async function mapping(context: Context): Promise<MappingCheck> {
  const { composition, signal, limitMs, transport, loaded } = context
  if (!transport.portMapping) {
    const detail = !loaded.config.transport.portMapping
      ? 'off: transport.portMapping is false'
      : transport.policy === 'relay'
        ? 'off: transport.policy is relay'
        : 'off: every backend is on this machine'
    return { row: { what: 'port mapping', state: 'skipped', detail }, isMapped: false }
  }
  return watched('the router', context, async () => {
    try {
      return await checkPortMapping({ ...composition, signal, limitMs })
    } catch (error) {
      signal.throwIfAborted()
      return { row: { ...thrown('port mapping', error), state: 'warn' }, isMapped: false }
    }
  })
}

async function nat(context: Context): Promise<{ readonly rows: readonly Row[]; readonly sides: Sides }> {
  const { composition, signal, transport, loaded } = context
  const unknown = { ipv4: undefined, ipv6: undefined }
  const what = 'STUN servers'
  if (transport.stun.length === 0) {
    const detail =
      transport.policy === 'relay'
        ? 'not asked: transport.policy is relay'
        : loaded.config.transport.stun.length === 0
          ? 'none is configured'
          : 'not asked: every backend is on this machine'
    return { rows: [{ what, state: 'skipped', detail }], sides: unknown }
  }
  return watched('the NAT', context, async () => {
    try {
      const report: NatReport = await bounded(NatLimitMs, { ...composition, signal }, (limit) =>
        discoverNat({
          ...composition,
          servers: transport.stun,
          lifetime: false,
          signal: limit,
          onProgress: () => undefined,
        }),
      )
      return { rows: natRows(report), sides: sidesOf(report) }
    } catch (error) {
      signal.throwIfAborted()
      return { rows: [{ ...thrown(what, error), state: 'warn' }], sides: unknown }
    }
  })
}

/** Has it told as long as it takes. */
async function watched<Result>(
  name: string,
  { waiting, onProgress }: Context,
  check: () => Promise<Result>,
): Promise<Result> {
  waiting.add(name)
  onProgress([...waiting])
  try {
    return await check()
  } finally {
    waiting.delete(name)
    onProgress([...waiting])
  }
}

/** @throws the reason of the first that was rejected */
function valuesOf<Values extends readonly unknown[]>(
  settled: {
    readonly [Index in keyof Values]: PromiseSettledResult<Values[Index]>
  },
): Values {
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason
    return each.value
  }) as unknown as Values
}
