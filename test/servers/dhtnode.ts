/**
 * Debian's OpenDHT nodes, with REST proxies. `dhtnode` cannot be told an address: it binds to all of them, and
 * its proxy too. So the nodes live in a network namespace that has loopback and nothing else (Linux, root), and
 * a small program in it joins each proxy to a port of this machine's 127.0.0.1 by way of a Unix socket.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { type Certificates, makeCertificates } from './certificates.js'
import type { TestServer } from './test-server.js'

export interface DhtnodeOptions {
  /** How many nodes, each of which knows the first one. */
  readonly nodes?: number
  /** Proxies speak TLS, with a certificate for 127.0.0.1. */
  readonly tls?: boolean
}

export interface Dhtnode extends TestServer {
  /** A proxy for each node, on 127.0.0.1. */
  readonly ports: readonly number[]
  /** For proxies with TLS. */
  readonly certificates: Certificates | undefined
}

const missing = missingForLab('dhtnode')

/** Why dhtnode cannot be started here, or undefined where it can. */
export const dhtnodeMissing: string | undefined =
  missing.length === 0
    ? undefined
    : `dhtnode needs a network namespace; missing: ${missing.join(', ')} (apt-get install dhtnode iproute2)`

/** A network of nobody else, even if it should leak. */
const Network = '4711'
const NodePort = 4101
const ProxyPort = 8080

/** Joins Unix sockets to TCP ports of 127.0.0.1: pairs of arguments. */
const Bridge = `
const { connect, createServer } = require('node:net')
const [, ...pairs] = process.argv
for (let at = 0; at < pairs.length; at += 2) {
  createServer((from) => {
    const to = connect({ host: '127.0.0.1', port: Number(pairs[at + 1]), noDelay: true })
    for (const [one, other] of [[from, to], [to, from]]) {
      one.on('error', () => undefined)
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  }).listen(pairs[at])
}
`

export async function startDhtnode({ nodes = 2, tls = false }: DhtnodeOptions = {}): Promise<Dhtnode> {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-dhtnode-'))
  const certificates = tls ? makeCertificates(folder) : undefined
  const lab = new Lab()
  const namespace = await lab.namespace('dht')
  const indices = Array.from({ length: nodes }, (_, index) => index)
  const path = (index: number): string => join(folder, `proxy-${index}`)
  const pairs = indices.flatMap((index) => [path(index), String(ProxyPort + index)])
  namespace.spawn(process.execPath, ['-e', Bridge, ...pairs], { stdio: 'ignore' })
  await until(() => indices.every((index) => existsSync(path(index))))
  let children: ChildProcess[] = []
  const sockets = new Set<Socket>()
  const servers = indices.map((index) =>
    createServer((from) => {
      const to = connect(path(index))
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        sockets.add(one)
        one.on('error', () => undefined)
        one.on('close', () => {
          sockets.delete(one)
          other.destroy()
        })
        one.pipe(other)
      }
    }),
  )
  const ports = await Promise.all(servers.map((server) => listen(server, 0)))
  const stop = async (): Promise<void> => {
    const ended = children
    children = []
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)))
    for (const socket of sockets) socket.destroy()
    await Promise.all([...closed, ...ended.map(kill)])
  }
  const start = async (): Promise<void> => {
    await stop()
    children = indices.map((index) => spawnNode(namespace, index, certificates))
    await Promise.all(servers.map((server, index) => listen(server, ports[index] ?? 0)))
    await ready(ports, tls, nodes > 1)
  }
  const close = async (): Promise<void> => {
    await stop()
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return { port: ports[0] ?? 0, ports, certificates, stop, start, close }
}

function spawnNode(
  namespace: Namespace,
  index: number,
  certificates: Certificates | undefined,
): ChildProcess {
  const bootstrap = index === 0 ? [] : ['-b', `127.0.0.1:${NodePort}`]
  const proxy =
    certificates === undefined
      ? ['--proxyserver', String(ProxyPort + index)]
      : [
          ...['--proxyserverssl', String(ProxyPort + index)],
          ...['--proxy-certificate', certificates.cert, '--proxy-privkey', certificates.key],
        ]
  const options = ['-s', '-n', Network, '-p', String(NodePort + index), ...bootstrap, ...proxy]
  return namespace.spawn('dhtnode', options, { stdio: 'ignore' })
}

async function listen(server: Server, port: number): Promise<number> {
  if (!server.listening) {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return address.port
}

/** Until every proxy answers, and its node has found another to store on, where there is one. */
async function ready(ports: readonly number[], tls: boolean, hasOthers: boolean): Promise<void> {
  await until(async () => {
    const statuses = await Promise.all(ports.map((port) => probe(port, tls)))
    return statuses.every((status) => status === 200 || (!hasOthers && status === 502))
  })
}

/** Stores a value under a key of its own; resolves with the status, or undefined where nobody answers. */
function probe(port: number, tls: boolean): Promise<number | undefined> {
  return new Promise((resolve) => {
    const target = { host: '127.0.0.1', port, path: `/key/${'0'.repeat(39)}1`, method: 'POST', timeout: 2000 }
    const asked = tls ? requestSecurely({ ...target, rejectUnauthorized: false }) : request(target)
    asked.on('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => undefined)
    asked.on('close', () => resolve(undefined))
    asked.end('{"data":"","id":"1"}')
  })
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('dhtnode did not start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
