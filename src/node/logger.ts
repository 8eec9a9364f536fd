/** The core's Logger port: one line a record, on stderr. */
import { writeSync } from 'node:fs'
import { explain } from '../core/errors.js'
import type { Logger } from '../core/ports.js'
import { isSecretName, maskUrlPasswords } from './config/secret-names.js'

export interface LoggerOptions {
  /** The least that is logged. */
  readonly level: LogLevel
  /** `text` is `HH:MM:SS level message key=value`, in UTC; `json` is pino's, an object a line. */
  readonly format: 'text' | 'json'
  /** Milliseconds since 1970; the system's clock by default. */
  readonly unixMs?: () => number
  /** Takes whole lines, ending in a newline. By default they go to stderr, synchronously. */
  readonly write?: (line: string) => void
}

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug'

type RecordLevel = Exclude<LogLevel, 'silent'>
type Fields = Readonly<Record<string, unknown>>

/** Raises or lowers the configured level as `--verbose` and `--quiet` say. */
export function logLevel(
  configured: LogLevel,
  flags: { readonly verbose?: boolean; readonly quiet?: boolean },
): LogLevel {
  if (flags.verbose === true) return 'debug'
  return flags.quiet === true && configured !== 'silent' ? 'error' : configured
}

/** pino is loaded for `json` only: `text` starts without it. */
export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const { level, format, unixMs = Date.now, write = writeToStderr } = options
  const emit = format === 'json' ? await jsonEmitter(level, unixMs, write) : textEmitter(level, unixMs, write)
  return {
    debug: (message, fields) => emit('debug', message, fields),
    info: (message, fields) => emit('info', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    error: (message, fields) => emit('error', message, fields),
  }
}

type Emit = (level: RecordLevel, message: string, fields?: Fields) => void

const Severity: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 }

function textEmitter(least: LogLevel, unixMs: () => number, write: (line: string) => void): Emit {
  return (level, message, fields = {}) => {
    if (Severity[level] < Severity[least]) return
    const time = new Date(unixMs()).toISOString().slice(11, 19)
    const pairs = Object.entries(safeFields(fields)).map(([key, value]) => ` ${key}=${fieldText(value)}`)
    write(`${neutralised(`${time} ${level} ${message}${pairs.join('')}`)}\n`)
  }
}

async function jsonEmitter(
  level: LogLevel,
  unixMs: () => number,
  write: (line: string) => void,
): Promise<Emit> {
  const { pino } = await import('pino')
  const log = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(unixMs()).toISOString()}"`,
    },
    { write: (line: string) => write(neutralisedJson(line)) },
  )
  return (recordLevel, message, fields = {}) => {
    if (Severity[recordLevel] < Severity[level]) return
    const safe = Object.entries(safeFields(fields)).map(([key, value]) => [
      ['level', 'time', 'message'].includes(key) ? `${key}_` : key,
      value,
    ])
    log[recordLevel](Object.fromEntries(safe), message)
  }
}

const DepthMax = 4

/** Without secrets, whoever logs them: by name, as passwords in URLs, and raw bytes of any kind. */
function safeFields(fields: Fields): Fields {
  return safe(fields, DepthMax) as Fields
}

function safe(value: unknown, depthLeft: number): unknown {
  if (typeof value === 'string') return maskUrlPasswords(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `<${value.byteLength} bytes>`
  if (value instanceof Error) return maskUrlPasswords(explain(value))
  if (depthLeft === 0) return '<more>'
  if (Array.isArray(value)) return value.map((item: unknown) => safe(item, depthLeft - 1))
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, isSecretName(key) ? '***' : safe(member, depthLeft - 1)]),
  )
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/u.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value)
}

/** What could move a cursor, recolour a terminal, break a line or reorder a text. */
const Unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

function neutralised(text: string): string {
  return text.replace(Unsafe, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The same, as JSON's own escapes: whoever parses the line gets the text as it was. */
function neutralisedJson(line: string): string {
  const escaped = line.trimEnd().replace(Unsafe, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
    }).join(''),
  )
  return `${escaped}\n`
}

function writeToStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // A closed or clogged stderr must not end the room.
  }
}
