import { describe, expect, it } from 'vitest'
import { JsonOutput } from '../../src/cli/output/json.js'
import type { Output, Sink } from '../../src/cli/output/output.js'
import { PlainOutput } from '../../src/cli/output/plain.js'
import { safeJson, safeLine, safeLines } from '../../src/cli/output/safe-text.js'
import type { Verbosity } from '../../src/cli/output/sentences.js'
import type { RoomEvent } from '../../src/room/events.js'

class FakeSink implements Sink {
  text = ''
  writableNeedDrain = false
  readonly destroyed = false
  readonly listeners = new Set<() => void>()

  write(text: string): boolean {
    this.text += text
    return true
  }

  on(_event: string, listener: () => void): void {
    this.listeners.add(listener)
  }

  off(_event: string, listener: () => void): void {
    this.listeners.delete(listener)
  }
}

function shown(make: (streams: { stdout: Sink; stderr: Sink }) => Output, ...events: RoomEvent[]): string {
  const [stdout, stderr] = [new FakeSink(), new FakeSink()]
  const output = make({ stdout, stderr })
  for (const event of events) output.event(event)
  expect(stderr.text).toBe('')
  return stdout.text
}

function plain(verbosity: Verbosity, ...events: RoomEvent[]): string {
  return shown((streams) => new PlainOutput(streams, verbosity), ...events)
}

const message: RoomEvent = { event: 'message', from: 'alice', address: '10.1.0.2', text: 'hi', id: '1' }
const everything: RoomEvent[] = [
  { event: 'signalling', adapter: 'mqtt', state: 'down', reason: 'refused' },
  {
    event: 'room',
    room: 'cf83e1357eefb8bdf154',
    key: 'k',
    invite: 'gonet://join/x?key=y',
    address: '10.1.0.1',
  },
  { event: 'joined', room: 'cf83e1357eefb8bdf154', address: '10.1.0.2', host: 'bob' },
  { event: 'member', state: 'joined', name: 'alice', address: '10.1.0.2', key: 'k' },
  { event: 'path', member: 'alice', kind: 'host', remote: '127.0.0.1:4', rttMs: 0.4 },
  message,
  { event: 'delivered', id: '1' },
  { event: 'member', state: 'left', name: 'alice', address: '10.1.0.2', key: 'k' },
  { event: 'refused', code: 'name-taken', message: 'No' },
  { event: 'error', code: 'odd', message: 'Oh' },
  { event: 'left' },
]

describe('plain output', () => {
  it('writes messages as `name: text` and events after an asterisk', () => {
    expect(plain('normal', ...everything).split('\n')).toEqual([
      '* signalling by mqtt is down: refused',
      '* room cf83-e135-7eef-b8bd-f154 (73 bits) is open; your address is 10.1.0.1',
      '* others join with: gonet join cf83-e135-7eef-b8bd-f154',
      "* or by link: gonet join 'gonet://join/x?key=y'",
      '* joined room cf83-e135-7eef-b8bd-f154 of bob; your address is 10.1.0.2',
      '* alice joined (10.1.0.2)',
      '* path to alice: host 127.0.0.1:4, 0.4 ms',
      'alice: hi',
      '* alice left',
      '* refused: No (name-taken)',
      '* error: Oh (odd)',
      '* left',
      '',
    ])
  })

  it('says more when verbose and less when quiet', () => {
    expect(plain('verbose', ...everything)).toContain('* delivered 1\n')
    const quiet = plain('quiet', ...everything)
    expect(quiet).toContain('alice: hi\n')
    expect(quiet).toContain('* room ')
    expect(quiet).not.toMatch(/path|signalling|delivered|left|alice joined/)
  })

  it('indents the further lines of a message, so that none passes for another line', () => {
    const text = 'one\n* two\r\nbob: three\u2028four\u0085five\vsix'
    expect(plain('normal', { ...message, text })).toBe(
      'alice: one\n  * two\n  bob: three\n  four\n  five\n  six\n',
    )
  })

  it('says before a message that it is late', () => {
    expect(plain('normal', { ...message, late: true })).toBe(
      '* the next message of alice came late\nalice: hi\n',
    )
  })

  it('lets no control character through, whoever sends it', () => {
    const evil = 'a\u001b[31m\u0007\r\u009b2J\u202e\u0000\u007f'
    const events: RoomEvent[] = [
      { ...message, from: evil, text: evil },
      { event: 'refused', code: evil, message: evil },
      { event: 'member', state: 'left', name: evil, address: evil, key: evil },
      { event: 'signalling', adapter: 'mqtt', state: 'down', reason: evil },
    ]
    expect(plain('normal', ...events).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
  })

  it('keeps notices off stdout', () => {
    const [stdout, stderr] = [new FakeSink(), new FakeSink()]
    new PlainOutput({ stdout, stderr }, 'normal').notice('a\u001bb')
    expect([stdout.text, stderr.text]).toEqual(['', 'a\u241bb\n'])
  })

  it('waits for a slow reader, and for nobody after an abort', async () => {
    const sink = new FakeSink()
    sink.writableNeedDrain = true
    const output = new PlainOutput({ stdout: sink, stderr: sink }, 'normal')
    const leave = new AbortController()
    let drains = 0
    const wait = (): Promise<void> => {
      return output.drained(leave.signal).then(() => {
        drains += 1
      })
    }
    const first = wait()
    await Promise.resolve()
    expect(drains).toBe(0)
    for (const listener of sink.listeners) listener()
    await first
    expect(sink.listeners.size).toBe(0)
    const second = wait()
    leave.abort()
    await Promise.all([second, wait()])
    expect([drains, sink.listeners.size]).toEqual([3, 0])
  })
})

describe('JSON output', () => {
  it('writes an object a line, `event` first, nothing lost', () => {
    const text = shown((streams) => new JsonOutput(streams), ...everything)
    const lines = text.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(everything)
    for (const line of lines) expect(line).toMatch(/^\{"event":"/)
  })

  it('escapes what could move a cursor or break a line, without changing it', () => {
    const text = 'a\u001b[0m\u009b\u007f\u2028\u202e\u0085\nb'
    const line = shown((streams) => new JsonOutput(streams), { ...message, text })
    expect(line.trimEnd()).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
    expect(JSON.parse(line)).toEqual({ ...message, text })
  })
})

describe('safe text', () => {
  it('shows controls as pictures', () => {
    expect(safeLine('\u0000\u001b\u007f\u009b\u202e\ud800')).toBe('\u2400\u241b\u2421\ufffd\ufffd\ufffd')
  })

  it('keeps emoji and accents whole', () => {
    const text = 'e\u0301 \u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u{1f1e9}\u{1f1ea}'
    expect(safeLines(text)).toEqual([text])
    expect(JSON.parse(safeJson(text))).toBe(text)
  })
})
