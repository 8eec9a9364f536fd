/** What the user of a TURN server that gives no relay is told; the room goes on by the path that there is. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Coturn, coturnMissing, startCoturn } from '../servers/coturn.js'
import { startBroker } from './broker.js'
import { Workbench } from './workbench.js'

let bench: Workbench
let plain: Coturn
let secure: Coturn

describe.skipIf(coturnMissing !== undefined)('a TURN server', () => {
  beforeAll(async () => {
    ;[plain, secure] = await Promise.all([
      startCoturn({ users: { alice: 'right' } }),
      startCoturn({ users: { alice: 'right' }, tls: true }),
    ])
  }, 30_000)
  afterEach(() => bench.close())
  afterAll(() => Promise.all([plain.close(), secure.close()]))

  it.each<readonly [string, () => string, string, RegExp]>([
    [
      'with a wrong password',
      () => `{url: "turn:127.0.0.1:${plain.port}", username: alice, credential: wrong}`,
      'turn-unauthorized',
      /^TURN server turn:127\.0\.0\.1:\d+: .*(credentials|password|user)/i,
    ],
    [
      'whose certificate nobody vouches for',
      () => `{url: "turns:127.0.0.1:${secure.port}", username: alice, credential: right}`,
      'turn-stream',
      /certificate/,
    ],
    [
      'that is not there',
      () => `{url: "turn:127.0.0.1:1?transport=tcp", username: alice, credential: right}`,
      'turn-stream',
      /refuse/i,
    ],
  ])(
    '%s is told of once, and the room does without',
    async (_, server, code, words) => {
      bench = new Workbench()
      const { url } = await startBroker(bench)
      const common = ['--json', '--signal=mqtt', '--set', `adapters.mqtt.url=${url}`]
      const turn = ['--set', `transport.turn=[${server()}]`]
      const host = bench.start(...common, ...turn, '--state', 'host', '--name', 'host', 'create')
      const { room } = await host.next('room')
      const guest = bench.start(...common, '--state', 'guest', '--name', 'guest', 'join', room)
      guest.type('hello')
      expect(await host.next('message')).toMatchObject({ text: 'hello' })
      guest.end()
      expect((await guest.finished).code).toBe(0)
      // Some servers take their time to say no.
      if (!host.events.some(({ event }) => event === 'error')) await host.next('error')
      const errors = host.events.filter((event) => event.event === 'error')
      expect(errors.map((error) => error.code)).toEqual([code])
      expect(errors[0]?.message).toMatch(words)
      expect(host.stdout + host.stderr).not.toMatch(/right|wrong/)
    },
    60_000,
  )

  it.each<readonly [string, string, RegExp]>([
    [
      'a URL that is none',
      '{url: "http://a", username: u, credential: p}',
      /transport\.turn\[0\]\.url: expected turn:/,
    ],
    ['no credentials', '{url: "turn:a"}', /expected username and one of credential/],
    [
      'both kinds of credentials',
      '{url: "turn:a", username: u, credential: p, secret: s}',
      /expected username and one/,
    ],
    ['a file that is not there', '{url: "turn:a", secretFile: nowhere}', /secretFile: cannot read .*nowhere/],
  ])('is not used with %s', async (_, server, words) => {
    bench = new Workbench()
    const { url } = await startBroker(bench)
    const { code, stderr } = await bench.run([
      ...[
        '--signal=mqtt',
        '--set',
        `adapters.mqtt.url=${url}`,
        '--set',
        `transport.turn=[${server}]`,
        'create',
      ],
    ])
    expect(code).toBe(2)
    expect(stderr).toMatch(words)
    expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(2)
  })
})

if (coturnMissing !== undefined && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(coturnMissing))
}
