import { describe, expect, it, vi } from 'vitest'
import { ExitCode, exitCodeOf } from '../../src/cli/exit-codes.js'
import type { GlobalOptions } from '../../src/cli/global-options.js'
import { LaterCommands } from '../../src/cli/later.js'
import { parseListen } from '../../src/cli/listen.js'
import { makeProgram } from '../../src/cli/program.js'
import { reportError } from '../../src/cli/report-error.js'
import { DecodeError, GonetError, RefusedError, SignallingError, UsageError } from '../../src/core/errors.js'

const calls = vi.hoisted((): { name: string; args: unknown[] }[] => [])
const record = vi.hoisted(() => (name: string) => (...args: unknown[]): Promise<void> => {
  calls.push({ name, args })
  return Promise.resolve()
})
vi.mock('../../src/cli/commands/create.js', () => ({ create: record('create') }))
vi.mock('../../src/cli/commands/join.js', () => ({ join: record('join') }))
vi.mock('../../src/cli/commands/serve.js', () => ({ serve: record('serve') }))

async function parse(...args: string[]): Promise<{ name: string; args: unknown[] } | undefined> {
  calls.length = 0
  await makeProgram('1.2.3', () => undefined).parseAsync(args, { from: 'user' })
  return calls[0]
}

function reported(error: unknown, json = false, verbose = false) {
  let [out, err] = ['', '']
  const stdout = { write: (text: string) => Boolean((out += text)) }
  const stderr = { write: (text: string) => Boolean((err += text)) }
  const exitCode = reportError(error, { json, verbose, stdout, stderr })
  return { exitCode, out, err }
}

async function failure(...args: string[]) {
  const error: unknown = await parse(...args).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return reported(error)
}

describe('arguments', () => {
  it('takes global options before and after the command', async () => {
    const expected = {
      json: true,
      state: '/s',
      timeout: 2.5,
      signal: ['mqtt', 'memory'],
      set: ['a=1', 'b=2'],
    }
    for (const args of [
      [
        '--json',
        '--state',
        '/s',
        '--timeout=2.5',
        '--signal=mqtt,memory',
        '--set',
        'a=1',
        '--set',
        'b=2',
        'create',
      ],
      [
        'create',
        '--json',
        '--state',
        '/s',
        '--timeout',
        '2.5',
        '--signal',
        'mqtt,memory',
        '--set=a=1',
        '--set=b=2',
      ],
      [
        '--json',
        'create',
        '--state=/s',
        '--timeout',
        '2.5',
        '--signal',
        'mqtt',
        '--signal',
        'memory',
        '--set',
        'a=1',
        '--set',
        'b=2',
      ],
    ]) {
      const call = await parse(...args)
      expect(call).toEqual({ name: 'create', args: [undefined, false, expected] })
    }
  })

  it('has the timeout that is documented', async () => {
    const call = await parse('create', '--new')
    expect(call!.args).toEqual([undefined, true, { timeout: 30 }])
  })

  it('joins a room without the word join', async () => {
    for (const args of [['join', 'cf83e1'], ['cf83e1'], ['--json', 'cf83e1'], ['cf83e1', '--plain']]) {
      const call = await parse(...args)
      expect([call!.name, call!.args[0]]).toEqual(['join', 'cf83e1'])
    }
    const call = await parse('cf83e1', '--plain', '--stay', '--name', 'x', '-c', 'f', '--quiet')
    const options: GlobalOptions = {
      plain: true,
      stay: true,
      name: 'x',
      config: 'f',
      quiet: true,
      timeout: 30,
    }
    expect(call!.args[1]).toEqual(options)
  })

  it('takes --listen for serve', async () => {
    const call = await parse('serve', 'mqtt', '--listen', '127.0.0.1:nowhere', '--json')
    const [name, options, start] = call!.args as [string, GlobalOptions, () => Promise<unknown>]
    expect([name, options]).toEqual(['mqtt', { json: true, timeout: 30 }])
    await expect((async () => start())()).rejects.toMatchObject({ code: 'listen-invalid' })
  })

  it.each([
    [['join', 'a', 'b']],
    [['create', '--frobnicate']],
    [['--timeout', 'soon', 'create']],
    [['--timeout', '0', 'create']],
    [['--timeout', '1e9', 'create']],
    [['--timeout']],
    [['--signal', 'mqtt,,dht', 'create']],
    [['serve', 'http']],
    [['config', 'frob']],
    [['identity', 'export', 'a', 'b']],
  ])('refuses %j with one line and exit code 2', async (args) => {
    const { exitCode, out, err } = await failure(...args)
    expect([exitCode, out]).toEqual([2, ''])
    expect(err).toMatch(/^gonet: [^\n]+\n$/)
  })

  it.each([...LaterCommands.map((name) => [[name]]), [['expose', '--', 'ls', '-l']], [['config', 'init']]])(
    'says of %j that it comes later, and exits 2',
    async (args) => {
      const { exitCode, err } = await failure(...args)
      expect(exitCode).toBe(2)
      expect(err).toMatch(/^gonet: This version of gonet does not have [^\n]+ yet\.\n$/)
      expect(calls).toEqual([])
    },
  )
})

describe('help', () => {
  it('is no error where it is asked for, and one where a command is missing', async () => {
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const complained = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    try {
      expect((await failure('--help')).exitCode).toBe(0)
      expect((await failure('--json', '--version')).exitCode).toBe(0)
      expect(written.mock.calls.join('')).toMatch(/^Usage: gonet .*1\.2\.3\n$/s)
      expect(await failure('config')).toEqual({ exitCode: 2, out: '', err: '' })
      expect(complained.mock.calls.join('')).toMatch(/^Usage: gonet config /)
    } finally {
      written.mockRestore()
      complained.mockRestore()
    }
  })
})

describe('exit codes', () => {
  it.each([
    [new UsageError('x', 'x'), ExitCode.Usage],
    [new DecodeError('x', 'x'), ExitCode.Usage],
    [new RefusedError('x', 'x'), ExitCode.Refused],
    [new SignallingError('x', 'x'), ExitCode.NoBackend],
    [new GonetError('no-backend', 'x'), 3],
    [new GonetError('room-not-found', 'x'), 4],
    [new GonetError('no-path', 'x'), 6],
    [new GonetError('room-closed', 'x'), 7],
    [new GonetError('undelivered', 'x'), 8],
    [new GonetError('store-failed', 'x'), 2],
    [new TypeError('x'), 1],
    ['x', 1],
  ])('%s ends with %d', (error, exitCode) => {
    expect(exitCodeOf(error)).toBe(exitCode)
  })
})

describe('error reports', () => {
  const error = new UsageError('room-id-invalid', "'x' is no id", { advice: 'Try another' })

  it('are one line: what happened, and what to do', () => {
    expect(reported(error)).toEqual({ exitCode: 2, out: '', err: "gonet: 'x' is no id. Try another.\n" })
  })

  it('are an event too with --json', () => {
    const { out, err } = reported(error, true)
    expect(JSON.parse(out)).toEqual({ event: 'error', code: 'room-id-invalid', message: "'x' is no id" })
    expect(err).toMatch(/^gonet: /)
    const refused = reported(new RefusedError('full', 'The host refused: full'), true)
    expect(JSON.parse(refused.out)).toMatchObject({ event: 'refused', code: 'full' })
  })

  it('have a stack with --verbose only', () => {
    expect(reported(error).err).not.toContain('at ')
    expect(reported(error, false, true).err).toContain('cli-arguments.test.ts')
  })

  it('ask for a report where it is a bug', () => {
    const { err, exitCode } = reported(new TypeError('x is not a function'))
    expect(exitCode).toBe(1)
    expect(err).toMatch(/^gonet: unexpected error: x is not a function\. .*report.*\n$/)
  })

  it('list several problems one a line, and hide escape sequences', () => {
    const { err } = reported(new UsageError('config-invalid', 'f:1:1: a\u001b[1m\nf:2:1: b'))
    expect(err).toBe('gonet: f:1:1: a\u241b[1m\ngonet: f:2:1: b\n')
  })
})

describe('parseListen', () => {
  it('reads IPv4 and IPv6', () => {
    expect(parseListen('127.0.0.1:0')).toEqual({ address: '127.0.0.1', port: 0 })
    expect(parseListen('[::1]:1883')).toEqual({ address: '::1', port: 1883 })
  })

  it.each([
    '',
    '1883',
    'localhost:1883',
    '127.0.0.1',
    '127.0.0.1:65536',
    '::1:1883',
    '[127.0.0.1]:1',
    ':1883',
  ])('refuses %j', (text) => {
    expect(() => parseListen(text)).toThrow(UsageError)
  })
})
