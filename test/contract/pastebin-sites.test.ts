/** What paste sites refuse, what a day's pastes are spent on, and the one line that says so. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type PastebinOptions, pastebin } from '../../src/adapters/pastebin/definition.js'
import { SignallingError, UsageError } from '../../src/core/errors.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { systemClock } from '../../src/node/clock.js'
import { type BepastyOptions, bepastyMissing, startBepasty } from '../servers/bepasty.js'
import { freePort } from '../servers/free-port.js'
import {
  type PastebinFixture,
  type PastebinFixtureOptions,
  startPastebinFixture,
} from '../servers/pastebin-fixture.js'
import { hastyClock, httpContext } from './opendht-fixture.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
  readonly logged: string[]
}

async function open(
  options: Partial<PastebinOptions>,
  context: Partial<AdapterContext> = {},
): Promise<Opened> {
  const states: AdapterState[] = []
  const logged: string[] = []
  const log = (message: string, fields?: Record<string, unknown>): void => {
    logged.push(JSON.stringify({ message, ...fields }))
  }
  const logger = { debug: log, info: log, warn: log, error: log }
  const adapter = await pastebin.create(
    { dialect: 'pastebin', pollSeconds: 1, ...options },
    httpContext((state) => states.push(state), { clock: hastyClock(4), logger, ...context }),
  )
  cleanUps.push(() => adapter.close())
  await adapter.open({ role: 'host', topics: [topic] }, never)
  return { adapter, states, logged }
}

async function site(
  options: PastebinFixtureOptions = {},
): Promise<PastebinFixture & { readonly options: Partial<PastebinOptions> }> {
  const fixture = await startPastebinFixture(options)
  cleanUps.push(() => fixture.close())
  const { apiKey, userKey, port } = fixture
  return Object.assign(fixture, { options: { url: `http://127.0.0.1:${port}`, apiKey, userKey } })
}

async function bepasty(options: BepastyOptions): Promise<string> {
  const server = await startBepasty(options)
  cleanUps.push(() => server.close())
  return `http${options.tls === true ? 's' : ''}://127.0.0.1:${server.port}`
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!isSo()) {
    if (Date.now() > deadline) expect.fail(`not within 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The last reason for being down, without the port. */
async function reason({ states }: Opened): Promise<string> {
  await until(() => states.at(-1)?.state === 'down', 'down')
  const down = states.at(-1)
  return down?.state === 'down' ? down.reason.replace(/^127\.0\.0\.1:\d+: /, '') : ''
}

const up = ({ states }: Opened): Promise<void> => until(() => states.at(-1)?.state === 'up', 'up')

const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'epoch',
  bytes: new TextEncoder().encode('beacon'),
  expiresInMs: 900_000,
  ...record,
})

describe('pastebin.com (a stand-in)', () => {
  it.each([
    ['Bad API request, invalid api_dev_key', 'the API key is wrong (adapters.pastebin.apiKeyFile)'],
    [
      'Bad API request, invalid or expired api_user_key',
      'the user key is wrong or has expired: ask the site for a new one (adapters.pastebin.userKeyFile)',
    ],
    [
      'Bad API request, account not active',
      'the account is not active: its email address may have to be confirmed',
    ],
    ['Bad API request, IP blocked', 'the site has blocked our address'],
    ['Bad API request, \u001b[31mno\nway', 'the site refused: "Bad API request, [31mno way"'],
    ['<html>welcome to the hotel</html>', 'the answer is not a list of pastes'],
  ])('answers %j', async (text, words) => {
    const fixture = await site()
    fixture.answer = { status: 200, text }
    expect(await reason(await open(fixture.options))).toBe(words)
  })

  it.each([
    [403, 'not allowed (HTTP 403)'],
    [429, 'too many requests (HTTP 429)'],
    [500, 'an error of the server (HTTP 500)'],
    [301, 'HTTP 301'],
  ])('answers HTTP %d', async (status, words) => {
    const fixture = await site()
    fixture.answer = { status, text: 'no' }
    expect(await reason(await open(fixture.options))).toBe(words)
  })

  it('finds keys wrong, and nothing shows them', async () => {
    const fixture = await site()
    const opened = await open({ ...fixture.options, apiKey: 'hunter2' })
    expect(await reason(opened)).toBe('the API key is wrong (adapters.pastebin.apiKeyFile)')
    const other = await open({ ...fixture.options, userKey: 'hunter2' })
    expect(await reason(other)).toMatch(/^the user key is wrong or has expired/)
    expect(JSON.stringify([opened.states, opened.logged, other.states, other.logged])).not.toMatch(
      /hunter2|aaaa/,
    )
  })

  it('is over its quota of a day, and of unlisted pastes', async () => {
    const words: [PastebinFixtureOptions, RegExp][] = [
      [{ pastesPerDay: 1 }, /over the site's quota: the day's pastes of this account are used up/],
      [{ maxUnlisted: 1 }, /over the site's quota: the account has too many unlisted pastes/],
    ]
    for (const [options, pattern] of words) {
      const fixture = await site(options)
      const host = await open(fixture.options)
      await host.adapter.publish(recordOf(), never)
      const refused = host.adapter.publish(recordOf({ box: 'join', sender: 'a' }), never)
      await expect(refused).rejects.toMatchObject({
        code: 'server-refused',
        message: expect.stringMatching(pattern) as string,
      })
      expect(await reason(host)).toMatch(pattern)
    }
  })

  it("makes no more pastes than the day's budget, and says so", async () => {
    const fixture = await site()
    const host = await open({ ...fixture.options, pastesPerDay: 3 })
    for (const sender of ['a', 'b', 'c']) await host.adapter.publish(recordOf({ sender }), never)
    expect(host.logged.at(-1)).toMatch(/"madeToday":3,"perDay":3/)
    const refused = host.adapter.publish(recordOf({ sender: 'd' }), never)
    await expect(refused).rejects.toThrow(SignallingError)
    await expect(refused).rejects.toMatchObject({ code: 'paste-budget-spent' })
    expect(await reason(host)).toMatch(
      /^the day's 3 pastes are used up; the next one in 24 hours \(adapters.pastebin.pastesPerDay\)$/,
    )
    await host.adapter.close()
    // What stands on the account counts for the next process too.
    fixture.pastes.set('left', {
      title: 'notes',
      text: 'x',
      createdAt: Math.floor(Date.now() / 1000) - 3600,
      expiresAt: 0,
    })
    const next = await open({ ...fixture.options, pastesPerDay: 1 })
    await up(next)
    await expect(next.adapter.publish(recordOf(), never)).rejects.toMatchObject({
      code: 'paste-budget-spent',
    })
    expect(await reason(next)).toMatch(/the next one in 23 hours/)
  })

  it('is spared fresher beacons, while one stands', async () => {
    const fixture = await site()
    // An hour takes 36 seconds: of the clock, 5 minutes 3.
    const host = await open({ ...fixture.options, pastesPerDay: 8 })
    const beacon = (text: string): Promise<void> =>
      host.adapter.publish(recordOf({ bytes: new TextEncoder().encode(text) }), never)
    for (const text of ['one', 'two', 'three', 'four']) await beacon(text)
    const texts = [...fixture.pastes.values()].map(({ text }) => Buffer.from(text, 'base64').toString())
    expect(texts).toEqual(['two'])
    // Somebody removes it: then the next one is made.
    fixture.pastes.clear()
    await host.adapter.watch(topic, 'host', () => undefined, never)
    await beacon('five')
    expect(fixture.pastes.size).toBe(1)
  })

  it('is cleaned of our old pastes, and of nothing else', async () => {
    const fixture = await site()
    const now = Math.floor(Date.now() / 1000)
    const other = 'b'.repeat(20)
    const keep = {
      young: [`gonet-${topic}-host-old`, 3600],
      answer: [`gonet-${topic}-reply-g-h`, 300],
      foreign: [`gonet-${other}-join-a`, 100_000],
      notes: ['my notes', 1_000_000],
    } as const
    const drop = { beacon: [`gonet-${topic}-host-a`, 90_000], join: [`gonet-${topic}-join-a`, 1000] } as const
    for (const [id, [title, age]] of Object.entries({ ...keep, ...drop })) {
      fixture.pastes.set(id, { title, text: 'AAAA', createdAt: now - age, expiresAt: 0 })
    }
    await up(await open(fixture.options))
    await until(() => fixture.pastes.size <= 4, 'cleaned')
    expect([...fixture.pastes.keys()].sort()).toEqual(Object.keys(keep).sort())
  })

  it('is asked seldom while nobody comes, and often while an answer is awaited', async () => {
    const fixture = await site()
    const lists = (): number => fixture.requests.get('list') ?? 0
    const { adapter } = await open(fixture.options)
    await adapter.watch(topic, 'join', () => undefined, never)
    const count = async (): Promise<number> => {
      const before = lists()
      await new Promise((resolve) => setTimeout(resolve, 3000))
      return lists() - before
    }
    await until(() => lists() > 10, 'many lists without news')
    const idle = await count()
    await adapter.watch(topic, 'reply/g', () => undefined, never)
    const awaited = await count()
    // In 12 seconds of its clock, and one more for the new watch.
    expect(idle).toBeLessThanOrEqual(7)
    expect(awaited).toBeGreaterThan(idle)
    expect(awaited).toBeLessThanOrEqual(14)
  }, 20_000)

  it('is read past a flood of a thousand pastes', async () => {
    const fixture = await site()
    const host = await open(fixture.options)
    await host.adapter.publish(recordOf(), never)
    const now = Math.floor(Date.now() / 1000)
    for (let index = 0; index < 990; index += 1) {
      const text = index % 2 === 0 ? 'not base64!' : 'A'.repeat(index % 5 === 0 ? 200_000 : 100)
      fixture.pastes.set(`flood${index}`, {
        title: `gonet-${topic}-host-f${index}`,
        text,
        createdAt: now,
        expiresAt: 0,
      })
    }
    const guest = await open(fixture.options)
    const seen: string[] = []
    await guest.adapter.watch(topic, 'host', ({ sender }) => seen.push(sender), never)
    await until(() => seen.includes('epoch'), 'the beacon')
  }, 30_000)
})

describe.skipIf(bepastyMissing !== undefined)('bepasty', () => {
  const options = { dialect: 'bepasty', password: 'correct horse' } as const
  const words = (permission: string): string =>
    `it does not let us ${permission} pastes: the password is wrong, or lacks a permission ` +
    '(adapters.pastebin.passwordFile; list, create, read and delete are needed)'

  it('says what the password does not allow', async () => {
    const url = await bepasty({ permissions: { all: 'list,create,read,delete', reader: 'list,read' } })
    const stranger = await open({ ...options, url })
    expect(await reason(stranger)).toBe(words('list'))
    expect(JSON.stringify([stranger.states, stranger.logged])).not.toContain('correct horse')
    const reader = await open({ ...options, url, password: 'reader' })
    await up(reader)
    await expect(reader.adapter.publish(recordOf(), never)).rejects.toMatchObject({ code: 'server-refused' })
    expect(await reason(reader)).toBe(words('create'))
    const member = await open({ ...options, url, password: 'all' })
    await member.adapter.publish(recordOf(), never)
    const seen: string[] = []
    await reader.adapter.watch(topic, 'host', ({ sender }) => seen.push(sender), never)
    expect(seen).toEqual(['epoch'])
  }, 30_000)

  it('needs a certificate that we trust', async () => {
    const url = await bepasty({ permissions: {}, tls: true })
    expect(await reason(await open({ ...options, url }))).toBe(
      "the server's certificate is not signed by an authority that we trust (adapters.pastebin.ca)",
    )
    expect(await reason(await open({ ...options, url: url.replace('https', 'http') }))).toMatch(
      /reset|closed|perhaps https/,
    )
  }, 30_000)
})

describe('a site', () => {
  it('that is down is said to refuse', async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    expect(await reason(await open({ dialect: 'bepasty', url }))).toBe('connection refused')
  })

  it('that hangs is said to, and holds up no farewell', async () => {
    const server = createServer(() => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanUps.push(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const opened = await open({ dialect: 'bepasty', url }, { clock: hastyClock(50) })
    expect(await reason(opened)).toBe('no answer in time')
    const slow = await open({ dialect: 'bepasty', url }, { clock: systemClock })
    const startedAt = Date.now()
    await slow.adapter.close()
    expect(Date.now() - startedAt).toBeLessThan(2000)
  })

  it.each([
    [{ dialect: 'bepasty' }, 'pastebin-url-missing'],
    [{ apiKey: 'a' }, 'pastebin-key-missing'],
    [{ apiKey: 'a', apiKeyFile: '/b', userKey: 'c' }, 'pastebin-api-key-twice'],
    [{ apiKey: 'a', userKeyFile: '/nowhere/key' }, 'pastebin-file-unreadable'],
  ] as const)('of a wrong configuration is refused when it is opened: %j', async (options, code) => {
    const opened = open(options)
    await expect(opened).rejects.toThrow(UsageError)
    await expect(opened).rejects.toMatchObject({ code })
  })
})
