/** Small files that the user names. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { explain, UsageError } from '../core/errors.js'

/**
 * @param file a path, or `-` for stdin
 * @param bytesMax more than that is refused
 * @throws UsageError `file-unreadable`
 */
export async function readInput(file: string, bytesMax: number): Promise<Uint8Array> {
  const stream: Readable = file === '-' ? process.stdin : createReadStream(file)
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      chunks.push(chunk)
      length += chunk.length
      if (length > bytesMax) break
    }
  } catch (error) {
    throw new UsageError('file-unreadable', `${file} cannot be read: ${explain(error)}`)
  }
  if (length > bytesMax) throw new UsageError('file-unreadable', `${file} has more than ${bytesMax} bytes`)
  return Buffer.concat(chunks)
}
