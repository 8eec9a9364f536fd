import { UsageError } from '../../core/errors.js'
import type { GlobalOptions } from '../global-options.js'
import { readInput } from '../read-input.js'
import { print, withRunningRoom } from '../running-room.js'

const TextBytesMax = 4096

/**
 * Posts a message; the room keeps it, and delivers it as soon as somebody is there.
 * @param words the message; a single `-` is what stdin has, without the line's end
 * @throws UsageError `message-invalid`, `file-unreadable`; GonetError what finding the running room throws
 */
export async function send(words: readonly string[], options: GlobalOptions): Promise<void> {
  const text = words.length === 1 && words[0] === '-' ? await readText() : words.join(' ')
  const answer = await withRunningRoom(options, (client) => client.request('send', { text }))
  print(options, answer, () => '')
}

async function readText(): Promise<string> {
  // One more for the line feed.
  const bytes = await readInput('-', TextBytesMax + 1)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, '')
  } catch (error) {
    throw new UsageError('message-invalid', 'The message is not valid UTF-8', { cause: error })
  }
}
