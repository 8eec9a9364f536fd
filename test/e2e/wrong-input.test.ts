/** What users do wrong, and what networks do to them: one clear line, the right exit code, nothing overwritten. */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startBroker } from './broker.js'
import { complaints, type Finished, Workbench } from './workbench.js'

let bench: Workbench

beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

/** Nothing there listens: no test may reach beyond this machine, whatever goes wrong. */
const nowhere = ['--signal=mqtt', '--set', 'adapters.mqtt.url=mqtt://127.0.0.1:1', '--timeout', '5'] as const

/** Expects exit code 2, one line on stderr, nothing on stdout; and with --json an error event too. */
async function refused(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await bench.run(args, stdin)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^gonet: [^\n]+\n$/)
  const json = await bench.run(['--json', ...args], stdin)
  expect(json.code).toBe(2)
  const { event, code: errorCode, message } = JSON.parse(json.stdout) as Record<string, string>
  expect([event, errorCode]).toEqual(['error', expect.stringMatching(/^[a-z][a-z-]*$/)])
  expect(message).not.toBe('')
  return stderr
}

describe('wrong arguments', () => {
  it.each([
    ['cf83', /fewer than 6/],
    ['cf83e1357eefb8bdf15g', /'g' is not a hex digit/],
    ['a'.repeat(129), /more than 128/],
    ['gonet://join/', /fewer than 6|cannot be used/],
    ['gonet://join/cf83e1?key=x', /cannot be used/],
    ['gonet://elsewhere/cf83e1', /cannot be used/],
    ['\u001b[31mred', /not a hex digit/],
    ['craete', /Did you mean gonet create\?/],
  ])('refuses the room %j', async (room, reason) => {
    const line = await refused([...nowhere, 'join', room])
    expect(line).toMatch(reason)
    expect(line.trimEnd()).not.toMatch(/\p{Cc}/u)
  })

  it('refuses unknown signalling backends by name, and says which there are', async () => {
    const line = await refused(['--signal', 'mqtt,carrier-pigeon', 'create'])
    expect(line).toMatch(/carrier-pigeon/)
    expect(line).toMatch(/mqtt/)
  })

  it('refuses names that could pass for events or for others', async () => {
    for (const name of ['', '* alice', 'a:b', 'a\nb', 'x'.repeat(33)]) {
      await refused([...nowhere, '--name', name, 'create'])
    }
  }, 30_000)

  it('searches for a key for a chosen id, keeps it, and can be interrupted', async () => {
    const create = ['--json', ...nowhere.slice(0, -1), '0.1', 'create']
    const found = await bench.run([...create, 'c0ff33'])
    expect([found.code, complaints(found.stderr).length > 0]).toEqual([3, true])
    const { rooms } = JSON.parse((await bench.run(['--json', 'identity', 'show'])).stdout) as {
      rooms: { room: string }[]
    }
    expect(rooms.map(({ room }) => room)).toEqual(['c0ff33'])
    const endless = bench.start(...create, '0123456789ab')
    await endless.says(/searching for a key/)
    endless.signal('SIGINT')
    expect((await endless.finished).code).toBe(130)
  }, 240_000)

  it('refuses to host a room that it has no key for, nor can find one', async () => {
    expect(await refused([...nowhere, 'create', 'cf83e1357eefb8bdf154'])).toMatch(/no identity for room/)
    expect(await refused([...nowhere, 'create', 'new'])).toMatch(/'new' is not a room id/)
  })

  it('refuses to join where no room is named, and takes the configured one', async () => {
    expect(await refused([...nowhere, 'join'])).toMatch(/No room is named/)
    writeFileSync(join(bench.folder, 'gonet.yaml'), 'room: 12e4\n')
    expect(await refused([...nowhere, 'join'])).toMatch(/'12e4' is not a room id/)
  })

  it('refuses a configuration file that is not there', async () => {
    expect(await refused(['-c', 'nowhere.yaml', 'create'])).toMatch(/nowhere\.yaml/)
  })
})

describe('wrong configuration', () => {
  it.each([
    ['transport:\n  prot: 0\n', /gonet\.yaml:2:3: transport\.prot: unknown key.*port/],
    ['singal: mqtt\n', /gonet\.yaml:1:1: singal: unknown key.*signal/],
    ['transport:\n  port: many\n', /gonet\.yaml:2:9: transport\.port/],
    ['signal: [mqtt\n', /gonet\.yaml:\d+:\d+/],
  ])('%j is refused with its place', async (text, reason) => {
    writeFileSync(join(bench.folder, 'gonet.yaml'), text)
    expect(await refused([...nowhere.slice(1), 'create'])).toMatch(reason)
    expect(await refused(['join', 'cf83e1357eef'])).toMatch(reason)
    const { code, stderr } = await bench.run(['config', 'check'])
    expect([code, reason.test(stderr)]).toEqual([2, true])
    expect(readFileSync(join(bench.folder, 'gonet.yaml'), 'utf8')).toBe(text)
  })

  it('is refused with all that is wrong at once', async () => {
    writeFileSync(join(bench.folder, 'gonet.yaml'), 'singal: mqtt\ntransport:\n  port: many\n')
    const { code, stderr } = await bench.run(['create'])
    expect([code, complaints(stderr).length]).toEqual([2, 2])
  })

  it('is refused on the command line and in the environment too', async () => {
    expect(await refused(['--set', 'transport.prot=1', 'create'])).toMatch(/--set transport\.prot.*port/)
    expect(await refused(['--set', 'nonsense', 'create'])).toMatch(/key\.path=value/)
  })

  it('is fine where it is right, and is shown with the source of each value', async () => {
    writeFileSync(
      join(bench.folder, 'gonet.yaml'),
      'name: alice\nadapters:\n  mqtt:\n    password: hunter2\n',
    )
    chmodSync(join(bench.folder, 'gonet.yaml'), 0o600)
    const check = await bench.run(['config', 'check'])
    expect([check.code, check.stderr]).toEqual([0, ''])
    expect(check.stdout).toMatch(/gonet\.yaml: ok\n$/)
    const show = await bench.run(['config', 'show', '--name', 'bob'])
    expect(show.code).toBe(0)
    expect(show.stdout).toMatch(/name: bob #.*--name/)
    expect(show.stdout).not.toContain('hunter2')
  })
})

describe('identities', () => {
  const kinds = ['broken', 'truncated', 'exposed', 'link'] as const

  async function exported(): Promise<string> {
    const other = ['--state', 'other']
    await bench.run([...nowhere.slice(0, -1), '0.1', ...other, 'join', 'cf83e1357eef'])
    const { code, stdout } = await bench.run([...other, 'identity', 'export'])
    expect(code).toBe(0)
    return stdout
  }

  it.each(kinds)('that are unusable (%s) are refused, and stay as they are', async (kind) => {
    const good = await exported()
    const path = join(bench.folder, 'own', 'identity')
    mkdirSync(join(bench.folder, 'own'), { mode: 0o700 })
    const text = kind === 'broken' ? 'not: an identity\n' : kind === 'truncated' ? good.slice(0, -20) : good
    if (kind === 'link') symlinkSync(join(bench.folder, 'other', 'identity'), path)
    else writeFileSync(path, text, { mode: kind === 'exposed' ? 0o644 : 0o600 })
    const line = await refused([...nowhere, '--state', 'own', 'join', 'cf83e1357eef'])
    expect(line).toContain(path)
    if (kind === 'exposed') expect(line).toMatch(/chmod 600/)
    await refused(['--state', 'own', 'identity', 'show'])
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  it('move from one machine to another, and never over another', async () => {
    const text = await exported()
    writeFileSync(join(bench.folder, 'carried'), text, { mode: 0o600 })
    const shown = await bench.run(['--state', 'other', 'identity', 'show', '--json'])
    expect(shown.stdout).toMatch(/^\{"guest":\{"key":"[^"]{43}="\},"rooms":\[\]\}\n$/)
    expect(await bench.run(['--state', 'new', 'identity', 'import', 'carried'])).toMatchObject({ code: 0 })
    expect(await bench.run(['--state', 'new', 'identity', 'import', '-'], text)).toMatchObject({ code: 0 })
    expect((await bench.run(['--state', 'new', 'identity', 'show', '--json'])).stdout).toBe(shown.stdout)
    await bench.run([...nowhere.slice(0, -1), '0.1', '--state', 'third', 'join', 'cf83e1357eef'])
    const before = await bench.run(['--state', 'third', 'identity', 'export'])
    await refused(['--state', 'third', 'identity', 'import', 'carried'])
    await refused(['--state', 'fourth', 'identity', 'import', '-'], 'seed: nonsense\n')
    expect((await bench.run(['--state', 'third', 'identity', 'export'])).stdout).toBe(before.stdout)
  })
})

describe('inspect', () => {
  it('refuses what is not a message', async () => {
    writeFileSync(join(bench.folder, 'file'), 'version: 2\n---\n')
    expect(await refused(['inspect', 'file'])).toMatch(/^gonet: file is not a message/)
    expect(await refused(['inspect', '-'], 'x'.repeat(5000))).toMatch(/4096/)
    expect(await refused(['inspect', 'nowhere'])).toMatch(/nowhere/)
  })
})

describe('signalling', () => {
  it('that is not there ends a join and a room with 3, in time', async () => {
    const here = nowhere.slice(0, -1)
    for (const command of [['join', 'cf83e1357eefb8bdf154'], ['create']]) {
      const started = performance.now()
      const { code, stdout, stderr } = await bench.run([...here, '1', '--json', '--stay', ...command])
      expect([code, complaints(stderr).length]).toEqual([3, 1])
      expect(performance.now() - started).toBeLessThan(8000)
      const events = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown)
      expect(events).toContainEqual(
        expect.objectContaining({ event: 'signalling', adapter: 'mqtt', state: 'down' }),
      )
      expect(events.at(-1)).toMatchObject({ event: 'error', code: 'no-backend' })
    }
  })

  it('that accepts and says nothing ends with 3 as well', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address() as { port: number }
    try {
      const url = `adapters.mqtt.url=mqtt://127.0.0.1:${address.port}`
      const { code } = await bench.run([
        '--signal=mqtt',
        '--set',
        url,
        '--timeout',
        '1',
        'join',
        'cf83e1357eef',
      ])
      expect(code).toBe(3)
    } finally {
      server.close()
    }
  })

  describe('that is there', () => {
    let brokerBench: Workbench
    let broker: readonly string[]

    beforeAll(async () => {
      brokerBench = new Workbench()
      const { url } = await startBroker(brokerBench)
      broker = ['--signal=mqtt', `--set=adapters.mqtt.url=${url}`]
    })
    afterAll(() => brokerBench.close())

    function join1(...args: readonly string[]): Promise<Finished> {
      return bench.run([...broker, '--timeout', '1', ...args, 'join', 'cf83e1357eefb8bdf154'])
    }

    it('but has no such room ends a join with 4', async () => {
      const { code, stdout, stderr } = await join1('--plain')
      expect([code, complaints(stderr).length]).toEqual([4, 1])
      expect(stdout).toMatch(/^\* signalling by mqtt is up$/m)
      const json = await join1('--json')
      expect(JSON.parse(json.stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({
        event: 'error',
        code: 'room-not-found',
      })
    })

    it('is left at once by an impatient guest', async () => {
      const guest = bench.start(...broker, '--json', 'join', 'cf83e1357eefb8bdf154')
      await guest.next('signalling')
      guest.signal('SIGINT')
      expect((await guest.finished).code).toBe(0)
    })

    it('refuses a second host from the same state folder, and a second guest of a room', async () => {
      const host = bench.start(...broker, '--state', 'one', '--json', 'create')
      const { room } = await host.next('room')
      expect(await refused([...broker, '--state', 'one', 'create'])).toMatch(
        /another gonet .*from this state folder/,
      )
      const guest = bench.start(...broker, '--state', 'one', '--json', 'join', room)
      await guest.next('joined')
      expect(await refused([...broker, '--state', 'one', 'join', room])).toMatch(
        /another gonet .*from this state folder/,
      )
    })
  })
})

describe('the command', () => {
  it('says its version', async () => {
    const { code, stdout } = await bench.run(['--version'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)])
  })

  it('shows a demonstration, which leaves nothing behind', async () => {
    const { code, stdout, stderr } = await bench.run(['demo'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/host: +reads +guest: [\s\S]*guest: +reads +host: /)
  }, 40_000)
})
