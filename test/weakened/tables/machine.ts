/** Against other users of the machine, and against texts that move its terminal. */
import type { Weakening } from '../weakening.js'

const control = 'unit/control-socket.test.ts'
const state = 'unit/state.test.ts'
const logger = 'unit/logger.test.ts'
const config = 'unit/config.test.ts'
const output = 'unit/cli-output.test.ts'

export const machine: readonly Weakening[] = [
  {
    rule: 'nobody tells a room anything who has not read its token',
    source: 'node/control/connection.ts',
    defence: "} else if (!isEqual(hello['token'], running.token)) {",
    weakened: "} else if (hello['token'] === 'wrong') {",
    attack: [
      control,
      'a client that is not gonet > is refused without the token, of another version, or with no hello',
    ],
  },
  {
    rule: 'no control socket is used that others can open',
    source: 'node/control/run-folder.ts',
    defence: 'if (isOwn && stats[kind]() && (stats.mode & 0o077) === 0) return',
    weakened: 'if (isOwn && stats[kind]()) return',
    attack: [control, 'the run folder > is not used where the folder is open to others'],
  },
  {
    rule: 'values are their owner’s',
    source: 'node/file-store.ts',
    defence: "openSync(path, 'w', 0o600)",
    weakened: "openSync(path, 'w', 0o644)",
    attack: [state, 'FileStore > keeps values, in folders and files that nobody else can read'],
  },
  {
    rule: 'what is appended to is its owner’s',
    source: 'node/file-store.ts',
    defence: "openSync(path, 'a', 0o600)",
    weakened: "openSync(path, 'a', 0o644)",
    attack: [state, 'FileStore > keeps values, in folders and files that nobody else can read'],
  },
  {
    rule: 'folders are their owner’s',
    source: 'node/file-store.ts',
    defence: 'mode: 0o700',
    weakened: 'mode: 0o755',
    attack: [state, 'FileStore > keeps values, in folders and files that nobody else can read'],
  },
  {
    rule: 'names stay inside the folder',
    source: 'node/file-store.ts',
    defence: "if (!isName || name.split('/').some((part) => part === '.' || part === '..')) {",
    weakened: 'if (!isName) {',
    attack: [state, 'FileStore > refuses the name "a/../b"'],
  },
  {
    rule: 'an identity that others can read is refused',
    source: 'node/identity-file.ts',
    defence: 'if ((mode & 0o077) !== 0) {',
    weakened: 'if (false) {',
    attack: [state, 'identities > refuses one of mode 420'],
  },
  {
    rule: 'an identity is not read through a link',
    source: 'node/identity-file.ts',
    defence: ' | constants.O_NOFOLLOW',
    weakened: '',
    attack: [state, 'identities > refuses what is not a regular file'],
  },
  {
    rule: 'an identity is a regular file',
    source: 'node/identity-file.ts',
    defence: "if (!isFile) throw invalid(path, 'it is not a regular file')",
    weakened: '',
    attack: [state, 'identities > refuses what is not a regular file'],
  },
  {
    rule: 'an identity is where it belongs',
    source: 'node/state.ts',
    defence: 'if (identity === undefined || identity.room === room) return identity',
    weakened: 'return identity',
    attack: [state, 'identities > refuses one that belongs elsewhere'],
  },
  {
    rule: 'an imported key can host its room',
    source: 'node/state.ts',
    defence: 'room !== undefined && !roomIdMatches(crypto, room, identityFromSeed(crypto, seed).publicKey)',
    weakened: 'false',
    attack: [state, 'identities > exports and imports'],
  },
  {
    rule: 'one process has a room',
    source: 'node/lock.ts',
    defence: 'holder !== undefined && isAlive(holder)',
    weakened: 'false',
    attack: [state, 'locks > let one in, and name it to the next'],
  },
  {
    rule: 'one of many takes a stale lock over',
    source: 'node/lock.ts',
    defence: 'acquire(claim, own, nonce, what, depthLeft - 1)',
    weakened: 'renameSync(path, claim)',
    attack: [state, 'locks > wait for nobody who is taking over now'],
  },
  ...(['text', 'json'] as const).map(
    (format): Weakening => ({
      rule: `no secret is logged as ${format}`,
      source: 'node/logger.ts',
      defence: "isSecretName(key) ? '***' : ",
      weakened: '',
      attack: [logger, `a ${format} logger > keeps secrets to itself`],
    }),
  ),
  {
    rule: 'no password in a URL is logged',
    source: 'node/config/secret-names.ts',
    defence: "'$1:***@'",
    weakened: "'$&'",
    attack: [logger, 'a text logger > keeps secrets to itself'],
  },
  {
    rule: 'no raw bytes are logged',
    source: 'node/logger.ts',
    defence:
      'if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `<${value.byteLength} bytes>`',
    weakened: '',
    attack: [logger, 'a text logger > keeps secrets to itself'],
  },
  {
    rule: 'no secret of the configuration is shown',
    source: 'node/config/show-config.ts',
    defence: "if (isSecretName(name)) return '***'",
    weakened: '',
    attack: [config, 'secrets > are masked in what is shown'],
  },
  {
    rule: 'no password in a URL is shown',
    source: 'node/config/show-config.ts',
    defence: 'maskInvites(maskUrlPasswords(value))',
    weakened: 'maskInvites(value)',
    attack: [config, 'secrets > are masked in what is shown'],
  },
  {
    rule: 'who keeps a password in a file for all is warned',
    source: 'node/config/load-config.ts',
    defence: 'if (file.exposed) warnings.push(...exposedSecrets(schema, settings))',
    weakened: '',
    attack: [config, 'secrets > inline work, and warn where others can read the file'],
  },
  {
    rule: 'a log line has no control characters',
    source: 'node/logger.ts',
    defence: '`\\\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`',
    weakened: 'character',
    attack: [logger, 'a text logger > writes one line without control characters, whatever it is given'],
  },
  {
    rule: 'a log object has no control characters',
    source: 'node/logger.ts',
    defence: 'write(neutralisedJson(line))',
    weakened: 'write(line)',
    attack: [logger, 'a json logger > writes one line without control characters, whatever it is given'],
  },
  {
    rule: 'a pipe gets no control characters',
    source: 'cli/output/safe-text.ts',
    defence: "return text.replaceAll('\\t', '    ').replace(Unsafe, picture)",
    weakened: 'return text',
    attack: [output, 'plain output > lets no control character through, whoever sends it'],
  },
  {
    rule: 'a terminal shows no text in another order',
    source: 'cli/output/safe-text.ts',
    defence: 'const Unsafe = /[\\p{Cc}\\p{Cs}\\p{Bidi_Control}\\u2028\\u2029]/gu',
    weakened: 'const Unsafe = /[\\p{Cc}\\p{Cs}\\u2028\\u2029]/gu',
    attack: ['unit/cli-terminal.test.ts', 'Terminal > lets no escape sequence of a stranger through'],
  },
  {
    rule: 'a line of a message cannot pass for another line',
    source: 'cli/output/plain.ts',
    defence: 'for (const line of further) this.#line(`  ${line}`)',
    weakened: 'for (const line of further) this.#line(line)',
    attack: [
      output,
      'plain output > indents the further lines of a message, so that none passes for another line',
    ],
  },
  {
    rule: 'a JSON object has no control characters',
    source: 'cli/output/safe-text.ts',
    defence: 'return JSON.stringify(value).replace(\n    UnsafeInJson,',
    weakened: 'return JSON.stringify(value).replace(\n    /(?!)/,',
    attack: [output, 'JSON output > escapes what could move a cursor or break a line, without changing it'],
  },
]
