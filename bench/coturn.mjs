// Debian's coturn on loopback.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'

/** @returns `server`, as transport.turn has it, and `stop` */
export async function startCoturn(folder) {
  mkdirSync(folder)
  const port = await freePort()
  const process = spawn(
    'turnserver',
    [
      ...[
        '-n',
        '--no-cli',
        '--no-tls',
        '--no-dtls',
        '--no-rfc5780',
        '--allow-loopback-peers',
        '--log-file=stdout',
      ],
      ...['--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', `--listening-port=${port}`],
      ...['--lt-cred-mech', '--realm=gonet.bench', '--user=bench:bench', '-v'],
      ...[`--db=${folder}/turndb`, `--pidfile=${folder}/turnserver.pid`],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = new Promise((resolve) => process.on('close', resolve))
  await new Promise((resolve, reject) => {
    process.on('error', reject)
    process.stdout.on('data', (chunk) => {
      if (/SQLite DB connection success/.test(chunk)) resolve()
    })
    void ended.then(() => reject(new Error('coturn ended')))
  })
  return {
    server: { url: `turn:127.0.0.1:${port}?transport=udp`, username: 'bench', credential: 'bench' },
    stop: async () => {
      process.kill('SIGKILL')
      await ended
    },
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
