/** From the options of the configuration to what connecting needs, with every file read. */
import type { SecureContext } from 'node:tls'
import { explain, UsageError } from '../../core/errors.js'
import { readOptionFile, readSecretOption } from '../shared/option-files.js'
import { parseBrokerUrl } from './broker-url.js'
import type { MqttOptions } from './definition.js'

/** One broker, and how to be let in. */
export interface BrokerSettings {
  /** `host:port`: how messages call it. Never has user or password. */
  readonly label: string
  readonly host: string
  readonly port: number
  readonly username: string | undefined
  readonly password: string | undefined
  /** What TLS trusts and shows; undefined without TLS. */
  readonly secureContext: SecureContext | undefined
  /** Whether we show a certificate of our own. */
  readonly hasCertificate: boolean
  /** Path and query of the WebSocket that MQTT goes through; undefined where it goes through none. */
  readonly webSocketPath: string | undefined
}

/** @throws UsageError for a wrong URL, contradicting options, or a file that cannot be read or used */
export async function readSettings(options: MqttOptions): Promise<readonly BrokerSettings[]> {
  const urls = options.url.map(parseBrokerUrl)
  const common = await readCredentials(options)
  const secureContext = urls.some(({ tls }) => tls) ? await readSecureContext(options) : undefined
  return urls.map(({ host, port, tls, webSocketPath, username, password }) => {
    // What stands in a URL is meant for that broker alone.
    const credentials = username === undefined ? common : { username, password }
    if (credentials.password !== undefined && credentials.username === undefined) {
      throw new UsageError('mqtt-username-missing', 'an MQTT password is given without a username', {
        advice: 'Set adapters.mqtt.username',
      })
    }
    const label = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const hasCertificate = tls && options.cert !== undefined
    const security = { secureContext: tls ? secureContext : undefined, hasCertificate }
    return { label, host, port, ...credentials, ...security, webSocketPath }
  })
}

async function readCredentials({
  username,
  password,
  passwordFile,
}: MqttOptions): Promise<Pick<BrokerSettings, 'username' | 'password'>> {
  const given = { inline: password, file: passwordFile }
  return { username, password: await readSecretOption('mqtt', 'password', given) }
}

async function readSecureContext({ ca, cert, key }: MqttOptions): Promise<SecureContext> {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError('mqtt-key-missing', 'a client certificate needs both adapters.mqtt.cert and .key')
  }
  const files = {
    ...(ca !== undefined && { ca: await readCertificates('ca', ca) }),
    ...(cert !== undefined && { cert: await readCertificates('cert', cert) }),
    ...(key !== undefined && { key: await readOptionFile('mqtt', 'key', key) }),
  }
  // Loaded here, since a broker without TLS should not cost the time.
  const { createSecureContext } = await import('node:tls')
  try {
    return createSecureContext({ ...files, minVersion: 'TLSv1.2' })
  } catch (error) {
    throw new UsageError('mqtt-tls-wrong', `the TLS files of mqtt cannot be used: ${explain(error)}`, {
      advice: 'adapters.mqtt.ca, cert and key name PEM files; key belongs to cert and has no passphrase',
      cause: error,
    })
  }
}

async function readCertificates(option: string, path: string): Promise<Buffer> {
  const bytes = await readOptionFile('mqtt', option, path)
  // OpenSSL takes a file without any certificate for an empty list, and would then trust nobody.
  if (!bytes.includes('-----BEGIN CERTIFICATE-----')) {
    throw new UsageError('mqtt-file-wrong', `adapters.mqtt.${option}: ${path} has no certificate in PEM form`)
  }
  return bytes
}
