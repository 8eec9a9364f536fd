/** What this adapter needs of a paste site. Each dialect is one implementation. */

export interface Paste {
  readonly id: string
  readonly title: string
  /** Seconds since 1970, by the server's clock. */
  readonly createdAt: number
  /** Bytes. */
  readonly size: number
}

export interface PasteList {
  /** Those that gonet may have made, the older ones first. */
  readonly pastes: readonly Paste[]
  /** Seconds since 1970, by the server's clock. */
  readonly listedAt: number
  /** Everything on the account that counts against a daily limit; undefined where there is no account. */
  readonly account: readonly Pick<Paste, 'id' | 'createdAt'>[] | undefined
}

export type Lifetime = 'ten-minutes' | 'day'

export interface NewPaste {
  readonly title: string
  readonly text: string
  readonly lifetime: Lifetime
}

/** All of it throws SignallingError `server-unreachable`, `server-untrusted`, `server-refused`; the signal's reason. */
export interface PasteService {
  list(signal: AbortSignal): Promise<PasteList>
  /** Undefined where the paste is gone. */
  read(id: string, signal: AbortSignal): Promise<string | undefined>
  /** Resolves with the new paste's id. */
  create(paste: NewPaste, signal: AbortSignal): Promise<string>
  /** Fine where the paste is gone already. */
  remove(id: string, signal: AbortSignal): Promise<void>
}

/** Sites may be slow. */
export const AnswerTimeoutMs = 20_000
/** Of an answer that is a word or a URL. */
export const MaxReplyBytes = 16_384
/** Of a list: a site that has more than some 12,000 pastes is too large to be asked every few seconds. */
export const MaxListBytes: number = 4 * 1024 * 1024
/** Of a paste: the largest record in base64, with line breaks that somebody may have added. */
export const MaxPasteBytes = 12_288

const Id = /^[0-9A-Za-z_-]{1,64}$/

/** Whether an id may be part of a URL: it comes from outside. */
export function isPasteId(id: unknown): id is string {
  return typeof id === 'string' && Id.test(id)
}
