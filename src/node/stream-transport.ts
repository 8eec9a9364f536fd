/** A TCP or TLS connection to a TURN server: bytes in and out, and no more kept than is worth keeping. */
import { X509Certificate } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import { GonetError, UsageError } from '../core/errors.js'

export interface StreamTransportOptions {
  readonly host: string
  readonly port: number
  /** Undefined for TCP. `servername`: what the certificate must say, default the host; `ca`: PEM text. */
  readonly tls?: { readonly servername?: string; readonly ca?: string }
  /** How long connecting may take, ms. Default 10,000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface StreamTransport {
  /**
   * @param mayDrop whether the bytes may be left out where the server reads too slowly
   * @returns false where they are
   */
  send(bytes: Uint8Array, mayDrop: boolean): boolean
  onBytes(listener: (bytes: Uint8Array) => void): void
  /** Called once, with a sentence; not after `close`. */
  onClosed(listener: (reason: string) => void): void
  /** Idempotent. */
  close(): void
}

const MaxDroppableBytes = 256 * 1024
/** A server that has not read as much is not there any more. */
const MaxBufferedBytes = 1024 * 1024

/**
 * Connects, and for TLS verifies the certificate.
 * @throws GonetError `turn-connection`, `turn-certificate`; UsageError `turn-ca`, where `ca` is not PEM; the
 *   signal's reason where it aborts
 */
export async function openStreamTransport(options: StreamTransportOptions): Promise<StreamTransport> {
  const { host, port, tls, timeoutMs = 10_000, signal } = options
  signal?.throwIfAborted()
  if (tls?.ca !== undefined) requireCertificates(tls.ca, `the TURN server ${host}`)
  const servername = tls?.servername ?? host
  const socket =
    tls === undefined
      ? connectTcp({ host, port, noDelay: true })
      : connectTls({
          host,
          port,
          // Even where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
          rejectUnauthorized: true,
          ...(isIP(servername) === 0 && { servername }),
          // An address has no place in the greeting, but the certificate must say it all the same.
          checkServerIdentity: (_, certificate) => checkServerIdentity(servername, certificate),
          ...(tls.ca !== undefined && { ca: tls.ca }),
        }).setNoDelay(true)
  // Errors after the connection is up come as its end.
  socket.on('error', () => undefined)
  const onAbort = (): void => void socket.destroy()
  const timer = setTimeout(() => socket.destroy(new GonetError('turn-connection', 'timed out')), timeoutMs)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(new GonetError('turn-connection', 'the server ends the connection')))
    })
  } catch (error) {
    socket.destroy()
    signal?.throwIfAborted()
    throw connectionError(error, host, port)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  return new SocketStream(socket)
}

/**
 * Node passes over what it cannot read, and then trusts nobody: the user would be told that the server's
 * certificate is wrong, where it is the file.
 * @param pem certificates of authorities, as PEM text
 * @param whose whom they vouch for, in words
 * @throws UsageError `turn-ca`
 */
export function requireCertificates(pem: string, whose: string): void {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  const begun = pem.match(/-----BEGIN /g) ?? []
  if (certificates.length === 0 || certificates.length !== begun.length || !certificates.every(isReadable)) {
    throw new UsageError(
      'turn-ca',
      `The certificate authority for ${whose} is not a certificate in PEM form`,
      {
        advice:
          'Give it as text with -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----, and nothing secret',
      },
    )
  }
}

function isReadable(certificate: string): boolean {
  try {
    return new X509Certificate(certificate).raw.length > 0
  } catch {
    return false
  }
}

class SocketStream implements StreamTransport {
  readonly #socket: Socket
  #isClosed = false
  #reason: string | undefined
  #onClosed: ((reason: string) => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.once('error', (error) => this.#end(wordsOf(error)))
    socket.once('close', () => this.#end('the server has ended the connection'))
  }

  send(bytes: Uint8Array, mayDrop: boolean): boolean {
    const { writableLength } = this.#socket
    if (this.#isClosed || (mayDrop && writableLength > MaxDroppableBytes)) return false
    if (writableLength > MaxBufferedBytes) {
      this.#end('the server reads nothing')
      return false
    }
    this.#socket.write(bytes)
    return true
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.#socket.on('data', listener)
  }

  onClosed(listener: (reason: string) => void): void {
    if (this.#reason === undefined) this.#onClosed = listener
    else listener(this.#reason)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // What is written already, such as the farewell to the server, still goes out.
    this.#socket.destroySoon()
  }

  #end(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#reason = reason
    this.#socket.destroy()
    this.#onClosed?.(reason)
  }
}

const Words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the server ends the connection',
  EHOSTUNREACH: 'no route to it',
  ENETUNREACH: 'no route to it',
  ENOTFOUND: 'there is no such name',
  EAI_AGAIN: 'its name cannot be looked up now',
  ETIMEDOUT: 'timed out',
}

const CertificateWords: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet (or our clock is wrong)",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is from an authority that is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is from an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the server's certificate is from an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the server's certificate is from an authority that is not trusted",
}

function connectionError(error: unknown, host: string, port: number): GonetError {
  const isCertificate = CertificateWords[codeOf(error)] !== undefined
  return new GonetError(
    isCertificate ? 'turn-certificate' : 'turn-connection',
    `No connection to the TURN server ${host}, port ${port}: ${wordsOf(error)}`,
    { cause: error },
  )
}

function wordsOf(error: unknown): string {
  const code = codeOf(error)
  return Words[code] ?? CertificateWords[code] ?? (error instanceof Error ? error.message : 'unknown')
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
