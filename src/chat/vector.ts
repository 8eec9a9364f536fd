/** What a replica has, per stream (author and incarnation), and how two replicas compare it. */
import { toHex } from '../core/encoding.js'
import { getUint48, HashBytes, hashBytes, setUint48 } from './entry.js'

/** The most streams that a log holds, and that a neighbour may speak of. */
export const MaxStreams = 4096
export const DigestBytes = 8
/** The start of an entry's hash, by which two replicas see that they mean the same entry. */
export const HeadBytes = 8
/** In place of a head where there is no entry. */
export const NoHead: string = '0'.repeat(2 * HeadBytes)
/** Author and incarnation. */
export const StreamBytes = 40

/** What a replica has of a stream: up to which sequence, and the start of that entry's hash. */
export interface StreamState {
  readonly have: number
  readonly head: string
}

/** The entry at which a stream begins for this replica: it and all before it were trimmed, or never given. */
export interface Base {
  readonly sequence: number
  readonly hash: string
  readonly lamport: number
}

export const BaseBytes: number = 4 + HashBytes + 6

/** sequence (4) ‖ hash (32) ‖ Lamport time (6). */
export function setBase(view: DataView, offset: number, { sequence, hash, lamport }: Base): void {
  view.setUint32(offset, sequence)
  hashBytes(hash).forEach((byte, index) => view.setUint8(offset + 4 + index, byte))
  setUint48(view, offset + 4 + HashBytes, lamport)
}

/** Undefined where the sequence is 0, which stands for no base. */
export function getBase(view: DataView, offset: number): Base | undefined {
  const sequence = view.getUint32(offset)
  if (sequence === 0) return undefined
  const hash = toHex(new Uint8Array(view.buffer, view.byteOffset + offset + 4, HashBytes))
  return { sequence, hash, lamport: getUint48(view, offset + 4 + HashBytes) }
}
