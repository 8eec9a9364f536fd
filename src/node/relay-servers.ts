/** The TURN servers of a configuration, with what their secrets' files hold. */
import { readFile } from 'node:fs/promises'
import { UsageError } from '../core/errors.js'
import type { Crypto, Wall } from '../core/ports.js'
import type { TurnCredentials } from '../transports/turn/authentication.js'
import { restCredentials } from '../transports/turn/rest-credentials.js'
import { parseTurnUrl, type TurnUrl } from '../transports/turn/turn-url.js'
import type { TurnServerConfig } from './config/schema.js'
import { requireCertificates } from './stream-transport.js'

export interface ConfiguredRelay extends TurnUrl {
  /** What it is called in events: the URL. */
  readonly id: string
  readonly credentials: () => TurnCredentials
  /** PEM text. */
  readonly ca: string | undefined
}

/** How long credentials made from a secret are good for: longer than any allocation is tried for. */
const CredentialsMs = 24 * 60 * 60 * 1000

/** @throws UsageError `turn-file-unreadable`, `turn-ca` */
export async function readRelayServers(
  servers: readonly TurnServerConfig[],
  { crypto, wall }: { readonly crypto: Crypto; readonly wall: Wall },
): Promise<readonly ConfiguredRelay[]> {
  return Promise.all(
    servers.map(async (server) => {
      const { url, username } = server
      const [credential, secret, ca] = await Promise.all([
        server.credential ?? firstLine('credentialFile', server.credentialFile),
        server.secret ?? firstLine('secretFile', server.secretFile),
        text('ca', server.ca),
      ])
      if (ca !== undefined) requireCertificates(ca, url)
      const credentials = (): TurnCredentials =>
        secret === undefined
          ? { username: username ?? '', password: credential ?? '' }
          : restCredentials(crypto, secret, username, (wall.unixMs() + CredentialsMs) / 1000)
      return { ...parseTurnUrl(url), id: url, credentials, ca }
    }),
  )
}

async function firstLine(key: string, file: string | undefined): Promise<string | undefined> {
  return (await text(key, file))?.replace(/\r?\n[^]*$/, '')
}

async function text(key: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError('turn-file-unreadable', `transport.turn: ${key}: cannot read ${file}`, {
      advice: 'Name a file that this user can read',
      cause: error,
    })
  }
}
