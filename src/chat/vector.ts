/** What a replica has, per stream (author and incarnation), and how two replicas compare it. */
import { fromHex, toHex } from '../core/encoding.js'
import type { Crypto } from '../core/ports.js'
import { getUint48, HashBytes, hashBytes, setUint48 } from './entry.js'

/** The most streams that a log holds, and that a neighbour may speak of. */
export const MaxStreams = 4096
export const DigestBytes = 8
/** Author and incarnation. */
export const StreamBytes = 40

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

/**
 * The first 8 bytes, in hex, of the SHA-256 over the streams whose value is not 0, in ascending order, each as
 * author ‖ incarnation ‖ value (4 bytes).
 */
export function digestOf(
  crypto: Pick<Crypto, 'sha256'>,
  values: Iterable<readonly [stream: string, value: number]>,
): string {
  const lines: string[] = []
  for (const [stream, value] of values) {
    if (value > 0) lines.push(stream + value.toString(16).padStart(8, '0'))
  }
  // Values in hex keep their order and their size, so that the text stands for the bytes.
  const bytes = fromHex(lines.sort().join(''), lines.length * (StreamBytes + 4)) ?? new Uint8Array()
  return toHex(crypto.sha256(bytes).subarray(0, DigestBytes))
}
