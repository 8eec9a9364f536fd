import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exitCodeFor, toJson, toLines, toTable } from '../../src/cli/commands/doctor.js'
import { GonetError, RefusedError, UsageError } from '../../src/core/errors.js'
import { systemRandom } from '../../src/node/clock.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { judgeBackends } from '../../src/node/doctor/backends.js'
import { relayRows } from '../../src/node/doctor/diagnose.js'
import { checkState } from '../../src/node/doctor/files.js'
import { checkClock, checkCryptography } from '../../src/node/doctor/machine.js'
import { natRows, sidesOf } from '../../src/node/doctor/nat.js'
import { type OutlookInput, outlookRows } from '../../src/node/doctor/outlook.js'
import type { RelayCheck } from '../../src/node/doctor/relay.js'
import { StateOfVisitor } from '../../src/node/doctor/room.js'
import { bounded, failed, Late, type Row, sayDuration, thrown } from '../../src/node/doctor/row.js'
import type { NatReport } from '../../src/node/nat-discovery.js'
import { State } from '../../src/node/state.js'
import { CommonSides, type Side } from '../../src/transports/nat/prediction.js'
import { ManualClock } from '../contract/manual-clock.js'

const up: Row = { what: 'backend mqtt', state: 'ok', detail: 'up' }
const down = failed('backend dht', new GonetError('no-backend', 'nobody answers', { advice: 'Wait' }))
const wrong = failed('backend etcd', new UsageError('etcd-tls-wrong', 'the key is not'))

describe('backends', () => {
  it('that are down are warned of where another is up', () => {
    expect(judgeBackends([up, down]).map(({ state }) => state)).toEqual(['ok', 'warn'])
    expect(judgeBackends([up, down])[1]).not.toHaveProperty('failure')
  })

  it('fail where none is up', () => {
    expect(judgeBackends([down])).toEqual([down])
    expect(exitCodeFor(judgeBackends([down]))).toBe(3)
  })

  it('with a wrong configuration fail in any case', () => {
    expect(judgeBackends([up, wrong])[1]).toEqual(wrong)
    expect(exitCodeFor(judgeBackends([up, wrong]))).toBe(2)
  })
})

describe('the exit code', () => {
  it('is 0 with warnings, and that of the first failure', () => {
    const warning: Row = { what: 'clock', state: 'warn', detail: 'wrong' }
    expect(exitCodeFor([up, warning])).toBe(0)
    const refused = failed('room', new RefusedError('room-full', 'full'))
    expect(exitCodeFor([warning, refused, down])).toBe(5)
    expect(exitCodeFor([failed('state', new GonetError('store-failed', 'no'))])).toBe(2)
    expect(exitCodeFor([thrown('x', new TypeError('a bug'))])).toBe(1)
  })
})

describe('relays', () => {
  const check = (state: Row['state']): RelayCheck => ({
    transport: 'tls',
    row: { what: 'TURN server turns:x', state, detail: '' },
  })

  it('are needed where no path goes without', () => {
    const codes = (relays: RelayCheck[], policy: 'all' | 'relay'): number =>
      exitCodeFor(relayRows(relays, { policy }))
    expect(codes([check('warn')], 'all')).toBe(0)
    expect(codes([], 'all')).toBe(0)
    expect(codes([], 'relay')).toBe(6)
    expect(codes([check('warn')], 'relay')).toBe(6)
    expect(codes([check('warn'), check('ok')], 'relay')).toBe(0)
  })

  it('say why there is none', () => {
    expect(relayRows([], { policy: 'direct' })).toMatchObject([
      { state: 'skipped', detail: 'off: transport.policy is direct' },
    ])
  })
})

describe('the outlook', () => {
  const symmetric = CommonSides['symmetric, random ports']
  const cone = CommonSides['port-restricted cone']

  function outlook(ipv4: Side | undefined, more: Partial<OutlookInput> = {}, ipv6?: Side) {
    const rows = outlookRows({ sides: { ipv4, ipv6 }, isMapped: false, relays: [], policy: 'all', ...more })
    return Object.fromEntries(rows.map((row) => [row.what.replace('path to ', ''), row]))
  }

  it('has a row for each kind of NAT', () => {
    expect(Object.keys(outlook(cone))).toEqual(Object.keys(CommonSides))
  })

  it('warns of what only a relay connects, where there is none', () => {
    const rows = outlook(symmetric)
    expect(rows['full cone']).toMatchObject({ state: 'ok', detail: 'direct' })
    expect(rows['port-restricted cone']).toMatchObject({ state: 'ok', detail: 'direct by search' })
    expect(rows['symmetric, random ports']).toMatchObject({
      state: 'warn',
      detail: 'none: it takes a relay, and no TURN server gives one',
      advice: expect.stringContaining('transport.turn') as string,
      facts: { outcome: 'relay' },
    })
  })

  it('counts on relays that give something, by what they are reached over', () => {
    const udp = outlook(symmetric, { relays: ['udp'] })
    expect(udp['symmetric, random ports']).toMatchObject({ state: 'ok', detail: 'relay' })
    expect(udp['blocked']).toMatchObject({ state: 'warn', advice: expect.stringContaining('TCP') as string })
    const tls = outlook(symmetric, { relays: ['tls'] })
    expect(tls['blocked']).toMatchObject({
      state: 'ok',
      detail: 'relay over tcp, where the other has such a server too',
    })
  })

  it('needs a relay over TCP for everything where UDP is blocked here', () => {
    const without = outlook('no UDP', { relays: ['udp'] })
    expect(Object.values(without).map(({ state }) => state)).toEqual(
      Object.keys(CommonSides).map(() => 'warn'),
    )
    const withTls = outlook('no UDP', { relays: ['tls'] })
    expect(withTls['open']).toMatchObject({ state: 'ok', detail: 'relay over tcp' })
  })

  it('takes a forwarded port into account', () => {
    const rows = outlook(symmetric, { isMapped: true })
    expect(rows['symmetric, random ports']).toMatchObject({
      state: 'ok',
      detail: 'direct, by the forwarded port',
    })
    expect(rows['full cone']).toMatchObject({ detail: 'direct' })
    expect(rows['blocked']).toMatchObject({ state: 'warn' })
    expect(outlook('no UDP', { isMapped: true })['open']).toMatchObject({ state: 'warn' })
  })

  it('says where IPv6 is better', () => {
    const rows = outlook(symmetric, {}, CommonSides['firewall'])
    expect(rows['symmetric, random ports']).toMatchObject({ state: 'warn' })
    expect(rows['symmetric, random ports']?.detail).toMatch(/; direct by search where both have IPv6$/)
    const only = outlook(undefined, {}, CommonSides['open'])
    expect(only['firewall']).toMatchObject({ state: 'ok', detail: 'direct; over IPv6 only' })
  })

  it('keeps to the policy', () => {
    expect(outlook(symmetric, { policy: 'direct' })['symmetric, random ports']).toMatchObject({
      state: 'warn',
      detail: 'none: it takes a relay, and transport.policy is direct',
    })
    const relayed = outlook(undefined, { policy: 'relay', relays: ['udp'] })
    expect(relayed['open']).toMatchObject({ state: 'ok', detail: 'relay' })
    expect(relayed['blocked']).toMatchObject({ state: 'warn' })
  })

  it('is not known without STUN servers', () => {
    expect(outlook(undefined)).toMatchObject({ paths: { state: 'skipped' } })
  })
})

describe('the NAT', () => {
  const at = { address: '198.51.100.1', port: 3478 }
  const silent: NatReport['servers'][number] = {
    name: 'stun.test:3478',
    addresses: [at],
    answers: [{ address: at, answer: { type: 'silent' } }],
  }
  const blocked: NatReport['ipv4'] = {
    server: undefined,
    local: { address: '192.0.2.1', port: 1 },
    reflexive: [],
    servers: [{ server: at, answer: { type: 'silent' } }],
    mapping: 'unknown',
    filtering: 'unknown',
    hairpin: undefined,
    portPreserved: undefined,
    portsPredictable: undefined,
    lifetime: undefined,
  }

  it('is blocked where servers are silent, which is known', () => {
    const report: NatReport = { servers: [silent], ipv4: blocked, ipv6: undefined }
    const rows = natRows(report)
    expect(rows.map(({ what, state }) => [what, state])).toEqual([
      ['STUN server stun.test:3478', 'warn'],
      ['NAT over IPv4', 'warn'],
      ['NAT over IPv6', 'skipped'],
    ])
    expect(sidesOf(report)).toEqual({ ipv4: 'no UDP', ipv6: undefined })
  })

  it('has a name and an address where one answers', () => {
    const reflexive = [{ address: '203.0.113.9', port: 40_000 }]
    const ipv4 = { ...blocked, reflexive, mapping: 'endpoint-independent', filtering: 'unknown' } as const
    const rows = natRows({
      servers: [{ ...silent, addresses: undefined, answers: [] }],
      ipv4,
      ipv6: undefined,
    })
    expect(rows[0]).toMatchObject({ state: 'warn', detail: 'has no address' })
    expect(rows[1]).toMatchObject({ state: 'ok', detail: 'cone, seen at 203.0.113.9:40000' })
  })
})

describe('a check', () => {
  const clock = new ManualClock()

  it('is ended when its time is over, and waited for', async () => {
    let isPutAway = false
    const running = bounded(
      5000,
      { clock, signal: new AbortController().signal },
      (signal) =>
        new Promise<void>((_, reject) => {
          signal.addEventListener('abort', () => {
            isPutAway = true
            reject(signal.reason as Error)
          })
        }),
    )
    const outcome = expect(running).rejects.toBeInstanceOf(Late)
    clock.advance(4999)
    expect(isPutAway).toBe(false)
    clock.advance(1)
    await outcome
    expect(isPutAway).toBe(true)
  })

  it('ends with what the whole is ended with', async () => {
    const whole = new AbortController()
    const running = bounded(
      5000,
      { clock, signal: whole.signal },
      (signal) =>
        new Promise<void>((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    )
    whole.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })

  it('says how long', () => {
    expect([3.4, 999, 2345].map(sayDuration)).toEqual(['3 ms', '999 ms', '2.3 s'])
  })
})

describe('this machine', () => {
  it('signs and seals', () => {
    const row = checkCryptography({ crypto: nodeCrypto, random: systemRandom })
    expect(row).toMatchObject({
      state: 'ok',
      detail: expect.stringContaining(process.versions.openssl) as string,
    })
    const forged = { ...nodeCrypto, verify: () => false }
    expect(checkCryptography({ crypto: forged, random: systemRandom })).toMatchObject({ state: 'fail' })
  })

  it('has a clock that may be right', () => {
    expect(checkClock({ unixMs: () => Date.UTC(2026, 0, 1) }).state).toBe('ok')
    expect(checkClock({ unixMs: () => Date.UTC(2025, 11, 31, 23, 59) }).state).toBe('warn')
    expect(checkClock({ unixMs: () => 0 }).detail).toBe('1970-01-01 00:00 UTC, which cannot be')
  })
})

describe('the state folder', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gonet-doctor-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is not made by looking', () => {
    const row = checkState(new State(join(folder, 'a', 'b')))
    expect(row).toMatchObject({ state: 'ok', detail: expect.stringMatching(/can be made$/) as string })
    expect(() => rmSync(join(folder, 'a'))).toThrow('ENOENT')
  })

  it('is written to, and left as it was', () => {
    const state = new State(folder)
    state.loadGuest(systemRandom)
    expect(checkState(state)).toMatchObject({
      state: 'ok',
      detail: `${folder} is writable; a guest identity, no hosted rooms`,
    })
  })

  it('fails where an identity is open to others, and never shows it', () => {
    const seed = Buffer.alloc(32, 7).toString('base64')
    const text = `version: 1\nkind: "gonet identity"\nseed: "${seed}"\n`
    writeFileSync(join(folder, 'identity'), text, { mode: 0o644 })
    const row = checkState(new State(folder))
    expect(row).toMatchObject({ state: 'fail', failure: { code: 'identity-exposed' } })
    expect(JSON.stringify(toJson([row])) + toLines([row])).not.toContain(seed)
  })

  it('fails where it is a file', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(checkState(new State(join(folder, 'file')))).toMatchObject({
      state: 'fail',
      failure: { code: 'store-failed' },
    })
    mkdirSync(join(folder, 'fine'))
    expect(checkState(new State(join(folder, 'fine'))).state).toBe('ok')
  })
})

describe('a visitor', () => {
  const room = 'cf83e1357eefb8bdf154'
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gonet-doctor-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('knows the host, but nothing that waits to be sent, and keeps nothing', () => {
    const kept = new State(folder).guestStore(room)
    const [key, waiting, more] = ['key', 'waiting', 'more'].map((text) => new TextEncoder().encode(text))
    if (key === undefined || waiting === undefined || more === undefined) throw new Error('no texts')
    kept.write('host', key)
    kept.write('chat', waiting)
    const store = new StateOfVisitor(folder).guestStore(room)
    expect(Buffer.from(store.read('host') ?? [])).toEqual(Buffer.from(key))
    expect(store.read('chat')).toBeUndefined()
    store.append('chat', more)
    store.write('host', more)
    expect(Buffer.from(store.read('chat') ?? [])).toEqual(Buffer.from(more))
    expect(kept.read('chat')).toEqual(waiting)
    expect(kept.read('host')).toEqual(key)
  })
})

describe('what is printed', () => {
  const rows: readonly Row[] = [
    up,
    { what: 'clock', state: 'warn', detail: 'odd\u001b[2J', advice: 'Set it' },
    down,
  ]

  it('is a line each in a pipe, harmless', () => {
    expect(toLines(rows)).toBe(
      'ok backend mqtt: up\nwarn clock: odd␛[2J. Set it\nfail backend dht: nobody answers. Wait\n',
    )
  })

  it('is a table on a terminal, in colours where they are wanted', () => {
    expect(toTable(rows, false).split('\n').slice(0, 3)).toEqual([
      'ok    backend mqtt  up',
      'warn  clock         odd␛[2J',
      '      → Set it',
    ])
    expect(toTable(rows, true)).toContain('\u001b[32mok    \u001b[0m')
    expect(toTable(rows, true)).not.toContain('[2J\u001b')
  })

  it('is one object for programs', () => {
    expect(toJson([{ ...up, ms: 3.6, facts: { a: 1 } }, down])).toEqual({
      ok: false,
      checks: [
        { what: 'backend mqtt', state: 'ok', detail: 'up', ms: 4, facts: { a: 1 } },
        { what: 'backend dht', state: 'fail', detail: 'nobody answers', code: 'no-backend', advice: 'Wait' },
      ],
    })
  })
})
