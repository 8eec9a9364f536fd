import { readFile } from 'node:fs/promises'
import { UsageError } from '../../core/errors.js'
import type { LoadedConfig } from './load-config.js'
import type { Config } from './schema.js'

export interface AdmissionSettings {
  readonly kind: Config['admission']['kind']
  readonly allow: readonly string[]
  /** What the user gave: a host's guests have to know it, a guest proves it. */
  readonly password: string | undefined
}

const PasswordBytesMax = 1024

/**
 * What a room's admission comes to. A host that was given a password asks for it, whatever the default is.
 * @throws UsageError `password-file-unreadable`, `password-invalid`, `password-unused`
 */
export async function resolveAdmission(
  { config, sources }: { readonly config: Pick<Config, 'admission'> } & Pick<LoadedConfig, 'sources'>,
  role: 'host' | 'guest',
): Promise<AdmissionSettings> {
  const { allow, kind: configured, password: inline, passwordFile } = config.admission
  const password = inline ?? (passwordFile === undefined ? undefined : await firstLine(passwordFile))
  const isDefault = (sources.get('admission.kind')?.layer ?? 'default') === 'default'
  const kind = isDefault && password !== undefined ? 'password' : configured
  if (password !== undefined && (password === '' || Buffer.byteLength(password) > PasswordBytesMax)) {
    throw new UsageError('password-invalid', `A password has 1 to ${PasswordBytesMax} bytes`)
  }
  if (role === 'host' && password !== undefined && kind !== 'password') {
    throw new UsageError('password-unused', `A password is given, but admission.kind is ${kind}`, {
      advice: 'Set admission.kind to password, or leave the password out',
    })
  }
  return { kind, allow, password }
}

async function firstLine(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n[^]*$/, '')
  } catch (error) {
    throw new UsageError('password-file-unreadable', `The password file ${file} cannot be read`, {
      advice: 'Name a file that this user can read: the password is its first line',
      cause: error,
    })
  }
}
