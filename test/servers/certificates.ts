/** Certificates for servers on 127.0.0.1 and their clients, made when a test needs them. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

export interface Certificates {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const NewKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes an authority, and a certificate for 127.0.0.1 and localhost that it has signed; PEM file names. */
export function makeCertificates(folder: string): Certificates {
  const authority = [
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    `/CN=CA of ${basename(folder)}`,
  ]
  openssl(folder, ['req', '-x509', ...NewKey, ...authority])
  writeFileSync(join(folder, 'server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  return sign(folder, 'server', '/CN=localhost', ['-extfile', 'server.ext', '-days', '2'])
}

/**
 * Makes a client's certificate, signed by the authority that `makeCertificates` has made in this folder.
 * @param days how long it is valid; -1 for one that has expired
 */
export function makeClientCertificate(folder: string, name: string, days = 2): Certificates {
  return sign(folder, name, `/CN=${name}`, ['-days', String(days)])
}

function sign(folder: string, name: string, subject: string, options: readonly string[]): Certificates {
  const file = (end: string): string => join(folder, end)
  openssl(folder, ['req', ...NewKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject])
  const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial']
  openssl(folder, ['x509', '-req', '-in', `${name}.csr`, ...authority, '-out', `${name}.pem`, ...options])
  return { ca: file('ca.pem'), cert: file(`${name}.pem`), key: file(`${name}.key`) }
}

function openssl(folder: string, args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
}
