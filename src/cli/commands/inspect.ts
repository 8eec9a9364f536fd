import { toHex } from '../../core/encoding.js'
import { MaxMessageBytes, readEnvelope } from '../../core/envelope.js'
import { DecodeError } from '../../core/errors.js'
import { readMessage } from '../../core/messages.js'
import { nodeCrypto } from '../../node/crypto.js'
import type { GlobalOptions } from '../global-options.js'
import { safeJson, safeLine } from '../output/safe-text.js'
import { readInput } from '../read-input.js'

/**
 * Prints what a signalling message says, and whether its signature is right. One that is wrong is printed too,
 * before it is called wrong.
 * @throws DecodeError `message-…`; UsageError `file-unreadable`
 */
export async function inspect(file: string, options: GlobalOptions): Promise<void> {
  const bytes = await readInput(file, MaxMessageBytes)
  const source = file === '-' ? 'stdin' : file
  const fields = judged(source, () => readEnvelope(bytes).fields)
  if (fields instanceof DecodeError) throw fields
  const verified = judged(source, () => readMessage(nodeCrypto, bytes))
  const problem = verified instanceof DecodeError ? verified : undefined
  const hash = toHex(nodeCrypto.sha512(bytes))
  if (options.json === true) {
    const message = { valid: problem === undefined, hash, fields: Object.fromEntries(fields) }
    process.stdout.write(`${safeJson(message)}\n`)
  } else {
    const lines = Array.from(fields, ([key, value]) => safeLine(`${key}: ${value}`))
    if (problem === undefined) lines.push('signature: right')
    process.stdout.write(`${[...lines, `hash: ${hash}`].join('\n')}\n`)
  }
  if (problem !== undefined) throw problem
}

function judged<Result>(source: string, reading: () => Result): Result | DecodeError {
  try {
    return reading()
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return new DecodeError(error.code, `${source} is not a message of gonet's: ${error.message}`)
  }
}
