/** What this machine itself brings: cryptography, a clock, and on Linux what later versions can use. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { GonetError } from '../../core/errors.js'
import type { Crypto, Random, Wall } from '../../core/ports.js'
import { failed, type Row } from './row.js'

const FirstPlausibleYear = 2026
const UnshareMs = 2000

/** Signs and seals something, and opens it again. */
export function checkCryptography({
  crypto,
  random,
}: {
  readonly crypto: Crypto
  readonly random: Random
}): Row {
  const what = 'cryptography'
  const message = random.bytes(32)
  const signing = crypto.signKeyPair(random.bytes(32))
  const signature = crypto.sign(message, signing.secretKey)
  const isSigned = crypto.verify(message, signature, signing.publicKey)
  const sealing = crypto.boxKeyPair(random.bytes(32))
  const nonce = random.bytes(24)
  const sealed = crypto.box(message, nonce, sealing.publicKey, sealing.secretKey)
  const opened = sealed && crypto.boxOpen(sealed, nonce, sealing.publicKey, sealing.secretKey)
  const { openssl, node } = process.versions
  const provider = `Node.js ${node} with OpenSSL ${openssl}`
  if (!isSigned || opened === undefined || !crypto.equal(opened, message)) {
    const error = new GonetError('unexpected', `signing or sealing does not work with ${provider}`, {
      advice: 'Use another build of Node.js, and report this one',
    })
    return failed(what, error)
  }
  const detail = `node:crypto signs, tweetnacl seals: ${provider}`
  return { what, state: 'ok', detail, facts: { openssl, node } }
}

/** Certificates are judged by the clock, and a handshake is taken only from later than the one before. */
export function checkClock(wall: Wall): Row {
  const what = 'clock'
  const time = new Date(wall.unixMs())
  const detail = `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`
  if (time.getUTCFullYear() >= FirstPlausibleYear) return { what, state: 'ok', detail }
  const advice = 'Set the clock: certificates and handshakes depend on it'
  return { what, state: 'warn', detail: `${detail}, which cannot be`, advice }
}

/** What a network interface of gonet's own would need. This version needs neither: nothing here is wrong. */
export async function checkAbilities(signal: AbortSignal): Promise<readonly Row[]> {
  if (process.platform !== 'linux') return []
  const [tun, namespaces] = await Promise.all([openTun(), tryUserNamespace(signal)])
  const rows = [
    ['TUN', tun],
    ['user namespaces', namespaces],
  ] as const
  return rows.map(([what, [isAble, said]]) => ({
    what,
    state: 'skipped',
    detail: `${said}; this version does not use it`,
    facts: { able: isAble },
  }))
}

type Ability = readonly [isAble: boolean | null, said: string]

async function openTun(): Promise<Ability> {
  try {
    await (await open('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)).close()
    return [true, '/dev/net/tun can be opened']
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const why = { EACCES: 'no permission', EPERM: 'not permitted', ENOENT: 'there is none' }[code] ?? code
    return [false, `/dev/net/tun cannot be opened: ${why}`]
  }
}

async function tryUserNamespace(signal: AbortSignal): Promise<Ability> {
  const [clone, most, restricted] = await Promise.all(
    [
      '/proc/sys/kernel/unprivileged_userns_clone',
      '/proc/sys/user/max_user_namespaces',
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    ].map(readNumber),
  )
  const [isMade, said] = await unshare(signal)
  if (isMade === true) return [true, 'can be made']
  if (clone === 0) return [false, 'forbidden by kernel.unprivileged_userns_clone=0']
  if (most === 0) return [false, 'forbidden by user.max_user_namespaces=0']
  if (restricted === 1) return [isMade, `${said}; kernel.apparmor_restrict_unprivileged_userns is 1`]
  return [isMade, said]
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : Number(text.trim())
}

function unshare(signal: AbortSignal): Promise<Ability> {
  return new Promise((resolve) => {
    execFile('unshare', ['-Urn', 'true'], { timeout: UnshareMs, signal }, (error) => {
      if (error === null) resolve([true, 'can be made'])
      else if (error.code === 'ENOENT') resolve([null, 'not tried: there is no unshare'])
      else resolve([false, 'cannot be made'])
    })
  })
}
