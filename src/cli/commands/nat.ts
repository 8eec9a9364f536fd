import { GonetError, UsageError } from '../../core/errors.js'
import { formatSocketAddress } from '../../core/machine.js'
import { systemClock, systemRandom } from '../../node/clock.js'
import {
  discoverNat,
  type FamilyReport,
  type NamedServer,
  type NatProgress,
  type NatReport,
} from '../../node/nat-discovery.js'
import { natName } from '../../transports/nat/behaviour.js'
import type { BindingLifetime } from '../../transports/nat/lifetime.js'
import { CommonSides, type Outcome, predictOutcome, sideOf } from '../../transports/nat/prediction.js'
import type { Answer } from '../../transports/nat/questions.js'
import { ExitCode } from '../exit-codes.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { safeJson, safeLine } from '../output/safe-text.js'
import { reportError } from '../report-error.js'
import { loadSettings, makeLogger } from '../settings.js'

const NoServer = 'no-stun-server'
const NothingToAsk = 'no server can be asked'
const Families = [
  ['ipv4', 'IPv4'],
  ['ipv6', 'IPv6'],
] as const
const [Bold, Dim, Red, Green, Yellow] = [1, 2, 31, 32, 33]
/** How often a terminal is told that it goes on. */
const TickMs = 1000

/**
 * Says how the NAT in front of this machine treats UDP, and what paths it allows.
 * @param lifetime whether to measure how long bindings live
 * @returns the exit code: 3 where no STUN server answers
 * @throws ConfigError; UsageError `stun-missing`; GonetError `interrupted`
 */
export async function nat(lifetime: boolean, options: GlobalOptions): Promise<number> {
  const loaded = await loadSettings(options)
  const servers = loaded.config.transport.stun
  if (servers.length === 0) {
    throw new UsageError('stun-missing', 'No STUN server is configured', {
      advice: 'Name one or more with --set transport.stun=host:port',
    })
  }
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const progress = options.quiet === true ? undefined : new Progress()
  let report: NatReport
  try {
    report = await discoverNat({
      servers,
      lifetime,
      clock: systemClock,
      random: systemRandom,
      logger: await makeLogger(loaded, options),
      signal: leave.signal,
      onProgress: (each) => progress?.update(each),
    })
  } catch (error) {
    if (!leave.signal.aborted) throw error
    throw new GonetError('interrupted', 'The discovery was interrupted')
  } finally {
    progress?.close()
    stopListening()
  }
  if (!Families.some(([family]) => hasAnswer(report[family]))) return reportNoServer(report, options)
  process.stdout.write(
    options.json === true ? `${safeJson(toJson(report, lifetime))}\n` : toText(report, options),
  )
  return ExitCode.Done
}

function reportNoServer({ servers }: NatReport, options: GlobalOptions): number {
  const what = servers.map((server) => `${server.name} ${whyUnusable(server)}`).join('; ')
  const error = new GonetError(NoServer, `No STUN server gives an answer of use: ${what}`, {
    advice: 'UDP may be blocked here; else name other servers with --set transport.stun=host:port',
  })
  const { stdout, stderr } = process
  reportError(error, { json: options.json === true, verbose: options.verbose === true, stdout, stderr })
  return ExitCode.NoBackend
}

function whyUnusable({ addresses, answers }: NamedServer): string {
  if (addresses === undefined) return 'has no address'
  const [first] = answers
  if (first === undefined) return 'cannot be reached from here: there is no route'
  const told = answers.find(({ answer }) => answer.type !== 'silent') ?? first
  return sayAnswer(told.answer)
}

function sayAnswer(answer: Answer): string {
  switch (answer.type) {
    case 'answered':
      return answer.other === undefined ? 'answers' : 'answers, and from other addresses too'
    case 'refused':
      return `refuses${answer.code === undefined ? '' : ` (error ${answer.code})`}`
    case 'implausible':
      return answer.mapped === undefined
        ? 'does not say where it sees this machine'
        : `says that it sees this machine at ${formatSocketAddress(answer.mapped)}, which cannot be`
    case 'silent':
    case 'unchanged':
    case 'arrived':
      return 'does not answer'
  }
}

function hasAnswer(report: FamilyReport | undefined): report is FamilyReport {
  return report !== undefined && report.reflexive.length > 0
}

function nameOf(report: FamilyReport): string {
  return hasAnswer(report) ? natName(report.mapping, report.filtering) : 'blocked'
}

function predictions(
  report: FamilyReport,
): readonly (readonly [name: string, outcome: Outcome | 'unknown'])[] {
  const side = hasAnswer(report) ? sideOf(report) : 'no UDP'
  return Object.entries(CommonSides).map(([name, other]) => [
    name,
    side === undefined ? 'unknown' : predictOutcome(side, other),
  ])
}

function toJson(report: NatReport, withLifetime: boolean): Record<string, unknown> {
  const families = Families.map(([family]) => {
    const found = report[family]
    return [family, found === undefined ? null : familyJson(found, withLifetime)] as const
  })
  const servers = report.servers.map(({ name, addresses, answers }) => ({
    name,
    found: addresses !== undefined,
    answers: answers.map(({ address, answer }) => ({
      address: formatSocketAddress(address),
      answer: answer.type,
      otherAddress:
        answer.type === 'answered' && answer.other !== undefined ? formatSocketAddress(answer.other) : null,
    })),
  }))
  return { ...Object.fromEntries(families), servers }
}

function familyJson(report: FamilyReport, withLifetime: boolean): Record<string, unknown> {
  const { local, reflexive, mapping, filtering, hairpin, portPreserved, portsPredictable, lifetime } = report
  return {
    name: nameOf(report),
    local: formatSocketAddress(local),
    reflexive: reflexive.map(formatSocketAddress),
    mapping,
    filtering,
    hairpin: hairpin ?? null,
    portPreserved: portPreserved ?? null,
    portsPredictable: portsPredictable ?? null,
    ...(withLifetime && { lifetime: lifetimeJson(lifetime) }),
    paths: Object.fromEntries(predictions(report)),
  }
}

function lifetimeJson(lifetime: BindingLifetime | undefined): Record<string, unknown> | null {
  if (lifetime?.type !== 'measured') return null
  const { aboveMs, belowMs } = lifetime
  return { aboveSeconds: aboveMs / 1000, belowSeconds: belowMs === undefined ? null : belowMs / 1000 }
}

/** A value, and the colour that a terminal gives it. */
type Cell = readonly [text: string, colour?: number | undefined]

function rowsOf(report: FamilyReport): readonly (readonly [label: string, cell: Cell])[] {
  const { local, reflexive, mapping, filtering, lifetime } = report
  const seen = reflexive.map(formatSocketAddress)
  const isAnswered = hasAnswer(report)
  return [
    ['NAT', [nameOf(report), Bold]],
    ['local address', [formatSocketAddress(local)]],
    ['seen at', isAnswered ? [seen.join(' ')] : ['nowhere', Red]],
    ['mapping', [mapping === 'none' ? 'no NAT' : mapping, dependenceColour(mapping)]],
    ['filtering', [sayFiltering(report), dependenceColour(filtering)]],
    ['hairpin', [mapping === 'none' ? 'no NAT' : sayWhether(report.hairpin)]],
    ['port preserved', [sayWhether(report.portPreserved)]],
    ...(lifetime === undefined ? [] : [['binding lifetime', [sayLifetime(lifetime)]] as const]),
    ...predictions(report).map(
      ([name, outcome]) => [`path to ${name}`, [outcome, outcomeColour(outcome)]] as const,
    ),
  ]
}

function sayFiltering({ filtering, servers }: FamilyReport): string {
  if (filtering !== 'unknown') return filtering
  const hasOther = servers.some(({ answer }) => answer.type === 'answered' && answer.other !== undefined)
  return hasOther ? 'unknown' : 'unknown: no server answers from another address (RFC 5780)'
}

function sayWhether(value: boolean | undefined): string {
  return value === undefined ? 'unknown' : value ? 'yes' : 'no'
}

function sayLifetime(lifetime: BindingLifetime): string {
  if (lifetime.type === 'unknown') return 'unknown: no server answers to another port (RFC 5780)'
  const seconds = (ms: number): string => String(Math.round(ms / 100) / 10)
  const { aboveMs, belowMs } = lifetime
  return belowMs === undefined
    ? `more than ${seconds(aboveMs)} s`
    : `${seconds(aboveMs)} to ${seconds(belowMs)} s`
}

function dependenceColour(value: string): number | undefined {
  if (value === 'none' || value === 'endpoint-independent') return Green
  return value === 'unknown' ? Dim : Yellow
}

function outcomeColour(outcome: Outcome | 'unknown'): number {
  if (outcome === 'unknown') return Dim
  return outcome === 'direct' ? Green : outcome === 'direct by search' ? Yellow : Red
}

function toText(report: NatReport, options: GlobalOptions): string {
  const { stdout, env } = process
  const isTerminal = options.plain !== true && stdout.isTTY && env['TERM'] !== 'dumb'
  const hasColours = isTerminal && (env['NO_COLOR'] ?? '') === ''
  const paint = (text: string, colour: number | undefined): string =>
    hasColours && colour !== undefined ? `\u001b[${colour}m${text}\u001b[0m` : text
  const lines: string[] = []
  for (const [family, title] of Families) {
    const found = report[family]
    if (isTerminal) lines.push(paint(title, Bold))
    if (found === undefined) {
      lines.push(isTerminal ? `  ${paint(NothingToAsk, Dim)}` : `${title}: ${NothingToAsk}`)
    } else {
      const rows = rowsOf(found)
      const width = Math.max(...rows.map(([label]) => label.length)) + 2
      for (const [label, [text, colour]] of rows) {
        const value = paint(safeLine(text), colour)
        lines.push(isTerminal ? `  ${label.padEnd(width)}${value}` : `${title} ${label}: ${value}`)
      }
    }
    if (isTerminal) lines.push('')
  }
  if (isTerminal) lines.push(paint('STUN servers', Bold))
  for (const line of serverLines(report.servers)) lines.push(isTerminal ? `  ${line}` : `server ${line}`)
  return `${lines.join('\n')}\n`
}

function serverLines(servers: readonly NamedServer[]): string[] {
  return servers.flatMap((server) => {
    const { name, answers } = server
    if (answers.length === 0) return [safeLine(`${name}: ${whyUnusable(server)}`)]
    return answers.map(({ address, answer }) => {
      const at = formatSocketAddress(address)
      return safeLine(`${name}${at === name ? '' : ` (${at})`}: ${sayAnswer(answer)}`)
    })
  })
}

/** What goes on, on stderr: a terminal sees it all, a pipe what takes minutes. */
class Progress {
  readonly #isTerminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb'
  readonly #startedAt = performance.now()
  readonly #said = new Map<string, string>()
  readonly #timer: NodeJS.Timeout | undefined

  constructor() {
    if (this.#isTerminal) this.#timer = setInterval(() => this.#draw(), TickMs)
  }

  update(progress: NatProgress): void {
    const family = progress.type === 'resolving' ? '' : progress.family === 'ipv4' ? 'IPv4' : 'IPv6'
    const text = sayProgress(progress)
    this.#said.delete('')
    this.#said.set(family, family === '' ? text : `${family}: ${text}`)
    if (this.#isTerminal) this.#draw()
    else if (progress.type === 'lifetime') process.stderr.write(`gonet: ${this.#said.get(family) ?? ''}\n`)
  }

  close(): void {
    clearInterval(this.#timer)
    if (this.#isTerminal) process.stderr.write('\r\u001b[K')
  }

  #draw(): void {
    const seconds = Math.floor((performance.now() - this.#startedAt) / 1000)
    const text = `gonet: ${[...this.#said.values()].join('; ')} (${seconds} s)`
    // Some terminals say that they have none.
    const columns = process.stderr.columns || 80
    process.stderr.write(`\r\u001b[K${text.slice(0, columns - 1)}`)
  }
}

function sayProgress(progress: NatProgress): string {
  if (progress.type === 'resolving') return 'looking up the STUN servers'
  if (progress.type === 'lifetime') {
    const { aboveMs, belowMs } = progress
    if (aboveMs === 0 && belowMs === undefined) return 'measuring how long bindings live, which takes minutes'
    return `bindings live ${sayLifetime({ ...progress, type: 'measured' })} so far`
  }
  return {
    asking: 'asking the STUN servers',
    filtering: 'seeing what comes in',
    mapping: 'seeing how ports are mapped',
  }[progress.step]
}
