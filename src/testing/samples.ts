import { randomBytes } from 'node:crypto'
import type { SignalRecord } from '../core/signalling-adapter.js'
import type { Records } from './log.js'

export function recordOf(record: Partial<SignalRecord> & Pick<SignalRecord, 'topic'>): SignalRecord {
  return { box: 'host', sender: 'sender', bytes: bytesOf('record'), expiresInMs: 60_000, ...record }
}

/** Sockets and timers of this process. */
export function resources(): number {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCP|TLS|UDP|Timeout)/.test(kind)).length
}

export function senders({ entries }: Records): string[] {
  return [...new Set(entries.map(({ sender }) => sender))].sort()
}

export function newTopic(): string {
  return Array.from(randomBytes(20), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('')
}

export function newSender(): string {
  return randomBytes(8).toString('hex')
}

export function bytesOf(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
