// Writes command.cache beside the command.cjs of a folder: V8's code of every function that a join runs, so that a
// start need not compile them. For that it joins a room of a host on loopback.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

const [bin = '', ...joining] = process.argv.slice(2)
if (joining.length > 0) await joinAndKeep(joining)
else await prepare()

/** A broker and a host as processes of the command; the guest is a process of this file. */
async function prepare() {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-build-'))
  const own = Object.entries(process.env).filter(([name]) => !/^(GONET_|NODE_)/i.test(name))
  const env = { ...Object.fromEntries(own), XDG_CONFIG_HOME: folder }
  const children = []
  const start = (...args) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 30_000,
    })
    children.push({ child, ended: new Promise((resolve) => child.on('close', resolve)) })
    return child
  }
  try {
    const gonet = join(bin, 'gonet.js')
    const broker = start(gonet, '--json', 'serve', 'mqtt', '--listen', '127.0.0.1:0')
    const { url } = await firstEvent(broker, 'serving')
    const common = ['--json', '--signal', 'mqtt', '--set', `adapters.mqtt.url=${url}`, '--state']
    const { room } = await firstEvent(start(gonet, ...common, join(folder, 'host'), 'create'), 'room')
    const file = fileURLToPath(import.meta.url)
    const guest = start(file, bin, ...common, join(folder, 'guest'), 'join', room)
    guest.stdin.end('a message\n')
    const exitCode = await children.at(-1).ended
    if (exitCode !== 0) throw new Error(`the guest ended with ${exitCode}`)
  } finally {
    for (const { child } of children) child.kill()
    await Promise.all(children.map(({ ended }) => ended))
    rmSync(folder, { recursive: true, force: true })
  }
}

async function joinAndKeep(args) {
  const file = join(bin, 'command.cjs')
  const script = new Script(readFileSync(file, 'latin1'), { filename: file })
  const command = { exports: {} }
  script.runInThisContext()(command.exports, createRequire(file), command, file, bin)
  const exitCode = await command.exports.run(args, '')
  if (exitCode === 0) writeFileSync(join(bin, 'command.cache'), script.createCachedData())
  process.exit(exitCode)
}

async function firstEvent(child, name) {
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line)
    if (event.event === name) {
      child.stdout.resume()
      return event
    }
  }
  throw new Error(`no event '${name}' came`)
}
