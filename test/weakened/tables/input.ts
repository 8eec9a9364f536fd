/** Against input that is too large, cut off, or not what it says. */
import type { Weakening } from '../weakening.js'

const messages = 'unit/messages.test.ts'
const stun = 'unit/stun-message.test.ts'
const config = 'unit/config.test.ts'
const decoders = 'decoders of what strangers send > '

export const input: readonly Weakening[] = [
  {
    rule: 'a message has 4096 bytes at most',
    source: 'core/envelope.ts',
    defence:
      "  if (bytes.length > MaxMessageBytes)\n    throw new DecodeError('message-oversized', 'message of more than 4096 bytes')\n",
    weakened: '',
    attack: [messages, 'messages > are refused in any other form: 22'],
  },
  {
    rule: 'a key stands once in a message',
    source: 'core/envelope.ts',
    defence: 'if (fields.has(key)) throw',
    weakened: 'if (false) throw',
    attack: [messages, 'messages > are refused in any other form: 18'],
  },
  {
    rule: 'a message has the keys of its action',
    source: 'core/messages.ts',
    defence: 'if (!Object.hasOwn(forms, key))',
    weakened: 'if (!(key in forms))',
    attack: [messages, 'messages > name every key of their action, and no other'],
  },
  {
    rule: 'a value has its form',
    source: 'core/messages.ts',
    defence: 'if (value === undefined) throw',
    weakened: 'if (false) throw',
    attack: [messages, 'messages > are refused with candidates: "host example.com:1"'],
  },
  {
    rule: 'a puzzle can be solved',
    source: 'core/messages.ts',
    defence: ' && Number(text) <= MaxPuzzleBits ?',
    weakened: ' ?',
    attack: [messages, 'messages > are refused with a puzzle of "21" bits'],
  },
  {
    rule: 'a message that is no text is told by its code',
    source: 'core/encoding.ts',
    defence: '  try {\n    return utf8Decoder.decode(bytes)\n  } catch {\n    return undefined\n  }\n',
    weakened: '  return utf8Decoder.decode(bytes)\n',
    attack: ['fuzz/core.test.ts', `${decoders}envelope: only the typed error`],
  },
  {
    rule: 'a control message is as long as it says',
    source: 'room/control.ts',
    defence: 'if (bytes.length !== 9) break',
    weakened: '',
    attack: ['fuzz/core.test.ts', `${decoders}control message: only the typed error`],
  },
  {
    rule: 'a roster’s pieces are in bounds',
    source: 'room/control.ts',
    defence: 'if (count > MaxFragments || index >= count || bytes.length > 13 + FragmentBytes) break',
    weakened: '',
    attack: ['unit/roster.test.ts', 'control messages > are refused in any other form: 2'],
  },
  {
    rule: 'a roster is whole when all its pieces are there',
    source: 'room/control.ts',
    defence: 'if (pieces.size < count) return undefined',
    weakened: 'if (index + 1 < count) return undefined',
    attack: [
      'fuzz/core.test.ts',
      `${decoders}roster pieces in any mix: bounded, and whole only when all are there`,
    ],
  },
  {
    rule: 'a STUN message has 32 attributes at most',
    source: 'transports/stun/message.ts',
    defence: 'end > bytes.length || count > MaxAttributes || ',
    weakened: 'end > bytes.length || ',
    attack: [stun, 'a STUN message > has at most 32 attributes'],
  },
  {
    rule: 'a STUN message has a header',
    source: 'transports/stun/message.ts',
    defence: 'bytes.length < HeaderBytes ||',
    weakened: '',
    attack: [
      'fuzz/stun.test.ts',
      'STUN > decodes any bytes or throws a DecodeError, and leaves them as they are',
    ],
  },
  {
    rule: 'an attribute is inside its message',
    source: 'transports/stun/message.ts',
    defence: 'if (end > bytes.length || ',
    weakened: 'if (',
    attack: [stun, 'a STUN message > is refused with an attribute that is longer than the message'],
  },
  {
    rule: 'an IP packet is as long as it says',
    source: 'transports/ip/ipv4.ts',
    defence: 'if (bytes.length < HeaderBytes || bytes.length < headerBytes) {',
    weakened: 'if (false) {',
    attack: [
      'fuzz/ip.test.ts',
      'decoders throw nothing but DecodeError, and return no more than they were given',
    ],
  },
  {
    rule: 'an inner packet is as long as it says',
    source: 'transports/wireguard/inner-packet.ts',
    defence: ' || length > packet.length)',
    weakened: ')',
    attack: ['unit/wireguard-device.test.ts', 'transport > refuses to send what is no packet or nobody’s'],
  },
  {
    rule: 'a chat payload has 1000 bytes at most',
    source: 'chat/payload.ts',
    defence: 'if (bytes.length > MaxPayloadBytes) throw invalid()',
    weakened: '',
    attack: [
      'fuzz/chat.test.ts',
      'the chat > reads any payload or throws a DecodeError, and each has one encoding',
    ],
  },
  {
    rule: 'a configuration’s depth is measured before it is parsed',
    source: 'node/config/yaml-text.ts',
    defence: 'if (depthExceeds(new yaml.Parser().parse(text), DepthMax)) {',
    weakened: 'if (false) {',
    attack: [config, 'problems > include bombs, without going off'],
  },
  {
    rule: 'a configuration has 1 MiB at most',
    source: 'node/config/yaml-text.ts',
    defence: 'if (text.length > TextMax) {',
    weakened: 'if (false) {',
    attack: [config, 'problems > include bombs, without going off'],
  },
  {
    rule: 'a line of input has 4096 bytes at most',
    source: 'cli/input-lines.ts',
    defence: 'if (bytes === undefined || bytes.length > LineBytesMax) {',
    weakened: 'if (bytes === undefined) {',
    attack: [
      'unit/cli-input.test.ts',
      'inputLines > refuses lines over 4096 bytes, and loses none beside them',
    ],
  },
  {
    rule: 'an identity has 4096 bytes at most',
    source: 'node/identity-file.ts',
    defence: 'if (size > SizeMax) throw invalid(path, `it is longer than ${SizeMax} bytes`)',
    weakened: '',
    attack: ['unit/state.test.ts', 'identities > refuses one too long, and leaves it alone'],
  },
]
