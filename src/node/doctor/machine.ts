/** What this machine itself brings: cryptography, a clock, and on Linux network interfaces. */
import { closeSync } from 'node:fs'
import { explain, GonetError } from '../../core/errors.js'
import type { Crypto, Random, Wall } from '../../core/ports.js'
import type { Config } from '../config/schema.js'
import { createNamespace } from '../network/namespace.js'
import { createTun, unsupported } from '../network/tun-device.js'
import { failed, type Row } from './row.js'

const FirstPlausibleYear = 2026

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

/** Makes what each `network.mode` of Linux's needs, and takes it down again. Who does not use it can do without. */
export async function checkInterfaces({ mode }: Pick<Config['network'], 'mode'>): Promise<readonly Row[]> {
  if (process.platform !== 'linux') {
    return mode === 'userspace' ? [] : [failed('network', unsupported(process.platform))]
  }
  const [tun, namespace] = await Promise.all([
    problemOf(async () => closeSync(await createTun(AnyName))),
    problemOf(async () => {
      const made = await createNamespace(AnyName)
      closeSync(made.descriptor)
      await made.close()
    }),
  ])
  return [interfaceRow('tun', mode, tun), interfaceRow('namespace', mode, namespace)]
}

/** The first number that is free: the name in force may be a running room's. */
const AnyName = 'gonet%d'

function interfaceRow(own: string, mode: string, problem: GonetError | undefined): Row {
  const what = `network.mode ${own}`
  const isUsed = own === mode
  if (problem !== undefined && isUsed) return failed(what, problem)
  const said = problem === undefined ? 'an interface can be made' : explain(problem)
  const facts = { able: problem === undefined }
  if (isUsed) return { what, state: 'ok', detail: said, facts }
  return { what, state: 'skipped', detail: `${said}; the mode is ${mode}`, facts }
}

async function problemOf(attempt: () => Promise<void>): Promise<GonetError | undefined> {
  try {
    await attempt()
    return undefined
  } catch (error) {
    if (error instanceof GonetError) return error
    throw error
  }
}
