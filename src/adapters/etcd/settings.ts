/** From the options of the configuration to what connecting needs, with every file read. */
import { explain, UsageError } from '../../core/errors.js'
import { readOptionFile, readSecretOption } from '../shared/option-files.js'
import type { EtcdOptions } from './definition.js'
import { parseEndpointUrl } from './endpoint-url.js'

/** One member of the cluster, and how to be let in. */
export interface EndpointSettings {
  /** `host:port`: how messages call it. */
  readonly label: string
  readonly tls: boolean
  readonly login: Login | undefined
  /** What TLS trusts and shows, in PEM. */
  readonly certificates: Certificates
}

export interface Login {
  readonly username: string
  readonly password: string
}

export interface Certificates {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** @throws UsageError for a wrong URL, contradicting options, or a file that cannot be read or used */
export async function readSettings(options: EtcdOptions): Promise<readonly EndpointSettings[]> {
  const urls = options.endpoints.map(parseEndpointUrl)
  const login = await readLogin(options)
  const certificates = urls.some(({ tls }) => tls) ? await readCertificates(options) : {}
  return urls.map(({ host, port, tls }) => {
    const label = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    return { label, tls, login, certificates }
  })
}

async function readLogin({ username, password, passwordFile }: EtcdOptions): Promise<Login | undefined> {
  const secret = await readSecretOption('etcd', 'password', { inline: password, file: passwordFile })
  if (username === undefined && secret === undefined) return undefined
  if (username === undefined) {
    throw new UsageError('etcd-username-missing', 'an etcd password is given without a username', {
      advice: 'Set adapters.etcd.username',
    })
  }
  if (secret === undefined) {
    throw new UsageError('etcd-password-missing', 'an etcd username is given without a password', {
      advice: 'Set adapters.etcd.passwordFile',
    })
  }
  return { username, password: secret }
}

async function readCertificates({ ca, cert, key }: EtcdOptions): Promise<Certificates> {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError('etcd-key-missing', 'a client certificate needs both adapters.etcd.cert and .key')
  }
  const files = {
    ...(ca !== undefined && { ca: await readPem('ca', ca) }),
    ...(cert !== undefined && { cert: await readPem('cert', cert) }),
    ...(key !== undefined && { key: await readOptionFile('etcd', 'key', key) }),
  }
  const { createSecureContext } = await import('node:tls')
  try {
    // The library says less about what is wrong with them, and later.
    createSecureContext(files)
  } catch (error) {
    throw new UsageError('etcd-tls-wrong', `the TLS files of etcd cannot be used: ${explain(error)}`, {
      advice: 'adapters.etcd.ca, cert and key name PEM files; key belongs to cert and has no passphrase',
      cause: error,
    })
  }
  return files
}

async function readPem(option: string, path: string): Promise<Buffer> {
  const bytes = await readOptionFile('etcd', option, path)
  // OpenSSL takes a file without any certificate for an empty list, and would then trust nobody.
  if (!bytes.includes('-----BEGIN CERTIFICATE-----')) {
    throw new UsageError('etcd-file-wrong', `adapters.etcd.${option}: ${path} has no certificate in PEM form`)
  }
  return bytes
}
