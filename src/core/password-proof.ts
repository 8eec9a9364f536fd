/**
 * Proving a password by OPAQUE (RFC 9807), as machines ask for it: it takes half a second of computing by design,
 * so it is done elsewhere and comes back as an answer. Nobody but who does it sees the password.
 */

/** `id` names one login, on one side. */
export type PasswordRequest =
  /** A guest begins: its first message. */
  | { readonly kind: 'start'; readonly id: string }
  /** A guest has its host's answer, the host being who has this Ed25519 key: its last message, and the key. */
  | {
      readonly kind: 'finish'
      readonly id: string
      readonly message: Uint8Array
      readonly hostKey: Uint8Array
    }
  /** A host has a guest's first message: what it answers. */
  | { readonly kind: 'respond'; readonly id: string; readonly message: Uint8Array }
  /** A host has a guest's last message: the key. */
  | { readonly kind: 'verify'; readonly id: string; readonly message: Uint8Array }
  /** The login is over; there is no answer. */
  | { readonly kind: 'forget'; readonly id: string }

export type PasswordAnswer =
  | {
      readonly kind: 'done'
      /** For the other side: at `start`, `finish` and `respond`. */
      readonly message?: Uint8Array
      /** Shared with the other side and known to nobody else: at `finish` and `verify`. */
      readonly sessionKey?: Uint8Array
    }
  /** The password is not the other side's, or the other side is not who it should be. */
  | { readonly kind: 'wrong' }
  /** There is no password to prove, or it cannot be proved here. */
  | { readonly kind: 'unavailable' }

export interface PasswordProof {
  /** Never rejects. */
  perform(request: Exclude<PasswordRequest, { readonly kind: 'forget' }>): Promise<PasswordAnswer>
  forget(id: string): void
  /** Idempotent. */
  close(): Promise<void>
}
