import { describe, expect, it } from 'vitest'
import type { Logger } from '../../src/core/ports.js'
import { createLogger, type LoggerOptions, logLevel } from '../../src/node/logger.js'

async function logged(
  options: Pick<LoggerOptions, 'level' | 'format'>,
  action: (log: Logger) => void,
): Promise<string[]> {
  const lines: string[] = []
  const unixMs = (): number => Date.UTC(2026, 0, 2, 3, 4, 5, 678)
  action(await createLogger({ ...options, unixMs, write: (line) => lines.push(line) }))
  return lines
}

function everyLevel(log: Logger): void {
  log.debug('d')
  log.info('i')
  log.warn('w')
  log.error('e')
}

const secrets = {
  password: 'hunter2',
  passwordFile: '/run/secret',
  sharedSecret: 'hunter2',
  seed: 'hunter2',
  psk: 'hunter2',
  'pre-shared-key': 'hunter2',
  nested: { deeper: [{ private_key: 'hunter2', apiKey: 'hunter2' }] },
  url: 'mqtt://user:hunter2@broker:1883',
  error: new Error('no way to mqtt://user:hunter2@broker', { cause: new Error('refused') }),
  bytes: new Uint8Array(32),
  key: 'public',
}

describe.each(['text', 'json'] as const)('a %s logger', (format) => {
  it.each([
    ['silent', []],
    ['error', ['e']],
    ['warn', ['w', 'e']],
    ['info', ['i', 'w', 'e']],
    ['debug', ['d', 'i', 'w', 'e']],
  ] as const)('at level %s says %j', async (level, expected) => {
    const lines = await logged({ level, format }, everyLevel)
    const messages = lines.map((line) =>
      format === 'json' ? (JSON.parse(line) as { message: string }).message : line.trim().split(' ').at(-1),
    )
    expect(messages).toEqual(expected)
  })

  it('keeps secrets to itself', async () => {
    const [line = ''] = await logged({ level: 'info', format }, (log) => log.info('hello', secrets))
    expect(line).not.toContain('hunter2')
    expect(line).toContain('/run/secret')
    expect(line).toContain('<32 bytes>')
    expect(line).toContain('public')
    expect(line).toContain('mqtt://user:***@broker:1883')
    expect(line).toContain('no way to mqtt://user:***@broker: refused')
  })

  it('writes one line without control characters, whatever it is given', async () => {
    const nasty = 'a\u001b[31mred\r\nFAKE\u009b2J\u202egnp\u2028\ud800\u{e0001}z'
    const lines = await logged({ level: 'info', format }, (log) =>
      log.info(`m ${nasty}`, { field: nasty, [`k${nasty}`]: { deep: nasty } }),
    )
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*\n$/u)
    if (format === 'json') {
      const parsed = JSON.parse(lines[0]!) as Record<string, unknown>
      expect(parsed['field']).toBe(nasty)
    }
  })

  it('copes with cycles, big integers, functions and undefined', async () => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const lines = await logged({ level: 'info', format }, (log) =>
      log.info('m', { cycle, big: 5n, nothing: undefined, call: () => 0, none: null, nan: Number.NaN }),
    )
    expect(lines).toHaveLength(1)
    expect(lines[0]).not.toContain('nothing')
  })
})

describe('formats', () => {
  it('text has time, level, message, and fields', async () => {
    expect(
      await logged({ level: 'info', format: 'text' }, (log) => {
        log.warn('broker is down', { adapter: 'mqtt', reason: 'no route "x"', tries: 3, list: [1, 'a'] })
      }),
    ).toEqual(['03:04:05 warn broker is down adapter=mqtt reason="no route \\"x\\"" tries=3 list=[1,"a"]\n'])
  })

  it('json has an object a line', async () => {
    const [line = ''] = await logged({ level: 'info', format: 'json' }, (log) => {
      log.warn('broker is down', { adapter: 'mqtt', level: 'x', tries: 3 })
    })
    expect(line.startsWith('{"level":"warn","time":"2026-01-02T03:04:05.678Z"')).toBe(true)
    expect(JSON.parse(line)).toEqual({
      level: 'warn',
      time: '2026-01-02T03:04:05.678Z',
      adapter: 'mqtt',
      level_: 'x',
      tries: 3,
      message: 'broker is down',
    })
  })
})

describe('logLevel', () => {
  it('is what is configured, unless a flag says otherwise', () => {
    expect(logLevel('warn', {})).toBe('warn')
    expect(logLevel('warn', { verbose: true })).toBe('debug')
    expect(logLevel('debug', { quiet: true })).toBe('error')
    expect(logLevel('silent', { quiet: true })).toBe('silent')
  })
})
