/** Whether the router forwards a port when it is asked to: one of nobody's, which is given back at once. */
import { delay } from '../../adapters/waiting.js'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import type { Clock, Logger, Random } from '../../core/ports.js'
import { defaultGateways } from '../gateway.js'
import { startPortMapping } from '../port-mapping.js'
import { openUdpSocket } from '../udp-socket.js'
import { bounded, Late, type Row, sayDuration } from './row.js'

export interface MappingCheckOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly limitMs: number
}

export interface MappingCheck {
  readonly row: Row
  readonly isMapped: boolean
}

const What = 'port mapping'
const Advice =
  'Only where no direct path is found does it matter: switch on UPnP, NAT-PMP or PCP in the router'
const ProtocolNames: Readonly<Record<string, string>> = { pcp: 'PCP', 'nat-pmp': 'NAT-PMP' }
const Reasons: Readonly<Record<string, string>> = {
  'no-answer': 'no answer by PCP or NAT-PMP',
  refused: 'the router refuses',
  'double-nat': 'the router is itself behind a NAT',
}

/** @throws what `signal` is aborted with; UsageError `udp-port` where there are no sockets */
export async function checkPortMapping(options: MappingCheckOptions): Promise<MappingCheck> {
  const { clock, random, signal, limitMs } = options
  const gateway = defaultGateways().find(({ family }) => family === 4)
  if (gateway === undefined && process.platform === 'linux') {
    const row: Row = { what: What, state: 'skipped', detail: 'there is no IPv4 gateway to ask' }
    return { row, isMapped: false }
  }
  const router = gateway === undefined ? 'the router' : `${gateway.address} (${gateway.device})`
  const startedAt = clock.now()
  const words = new Words(options.logger)
  const socket = await openUdpSocket(4, 0)
  try {
    const external = await bounded(limitMs, options, async (limit) => {
      let hasMapped: (external: SocketAddress) => void = () => undefined
      const mapped = new Promise<SocketAddress>((resolve) => {
        hasMapped = resolve
      })
      const mapping = startPortMapping({
        port: socket.local.port,
        clock,
        random,
        logger: words,
        onMapped: (candidate) => {
          if (candidate !== undefined) hasMapped(candidate.address)
        },
      })
      const over = new AbortController()
      const either = AbortSignal.any([limit, over.signal])
      try {
        return await Promise.race([mapped, words.finished(), delay(clock, limitMs * 2, either)])
      } finally {
        over.abort()
        await mapping.close()
      }
    })
    if (external === undefined) return refused(router, words)
    const ms = clock.now() - startedAt
    const at = formatSocketAddress(external)
    const protocol = words.protocol ?? 'UPnP-IGD'
    const detail = `${router} forwards ${at} by ${protocol}, asked and given back in ${sayDuration(ms)}`
    const row: Row = { what: What, state: 'ok', detail, ms, facts: { external: at, protocol } }
    return { row, isMapped: true }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Late) return refused(router, words)
    throw error
  } finally {
    await socket.close()
  }
}

function refused(router: string, words: Words): MappingCheck {
  const why = words.reasons.length === 0 ? 'no answer' : words.reasons.join('; ')
  const detail = `${router} forwards no port: ${why}`
  const row: Row = { what: What, state: 'warn', detail, advice: Advice, facts: { external: null } }
  return { row, isMapped: false }
}

/** Which protocol it was, and why not, is said to the log only. */
class Words implements Logger {
  protocol: string | undefined
  #bySession: string | undefined
  #byUpnp: string | undefined
  readonly #logger: Logger
  #hasFinished = (): void => undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  get reasons(): readonly string[] {
    return [this.#bySession, this.#byUpnp].flatMap((each) => each ?? [])
  }

  /** Resolves when there is nobody left to ask. */
  finished(): Promise<undefined> {
    return new Promise((resolve) => {
      this.#hasFinished = () => resolve(undefined)
      this.#look()
    })
  }

  debug(message: string, fields: Record<string, unknown> = {}): void {
    this.#logger.debug(message, fields)
    const { type, protocol, reason, result, external } = fields
    if (message === 'port mapping' && type === 'mapped') this.protocol = ProtocolNames[String(protocol)]
    if (message === 'port mapping' && type === 'failed') {
      const detail = typeof result === 'string' ? ` (${result})` : ''
      const { address } = (external ?? {}) as Partial<SocketAddress>
      const at = address === undefined ? '' : ` (${address})`
      this.#bySession = `${Reasons[String(reason)] ?? String(reason)}${detail}${at}`
      this.#isFinal ||= reason === 'double-nat'
    }
    if (message === 'no port mapping by UPnP') this.#byUpnp = `by UPnP: ${String(reason)}`
    this.#look()
  }

  info(message: string, fields?: Record<string, unknown>): void {
    this.#logger.info(message, fields)
  }

  warn(message: string, fields?: Record<string, unknown>): void {
    this.#logger.warn(message, fields)
  }

  error(message: string, fields?: Record<string, unknown>): void {
    this.#logger.error(message, fields)
  }

  #isFinal = false

  #look(): void {
    if (this.#isFinal || (this.#bySession !== undefined && this.#byUpnp !== undefined)) this.#hasFinished()
  }
}
