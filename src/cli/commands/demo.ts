/** A host and a guest as two processes of this very command, over a broker in this one, on loopback only. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { explain, GonetError } from '../../core/errors.js'
import { formatRoomId } from '../../core/room-id.js'
import { serveMqtt } from '../../node/serve-mqtt.js'
import type { RoomEvent } from '../../room/events.js'
import { LeaveSignals } from '../leave-signals.js'
import { safeLine } from '../output/safe-text.js'

const LimitMs = 30_000
const StopMs = 5000
const GuestLine = 'Hello, is anybody there?'
const HostLine = 'Welcome! Nobody between us can read this.'

/** @throws GonetError `demo-failed` */
export async function demo(): Promise<void> {
  const started = performance.now()
  const say = (text: string): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(2)
    process.stdout.write(`${seconds.padStart(6)} s  ${safeLine(text)}\n`)
  }
  const folder = mkdtempSync(join(tmpdir(), 'gonet-demo-'))
  const broker = await serveMqtt({ address: '127.0.0.1', port: 0 })
  const peers: Peer[] = []
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), LimitMs)
  const onSignal = (): void => limit.abort()
  for (const signal of LeaveSignals) process.on(signal, onSignal)
  const start = (name: string, ...command: string[]): Peer => {
    const peer = new Peer(
      name,
      ['--set', `adapters.mqtt.url=${broker.url}`, ...command],
      folder,
      limit.signal,
    )
    peers.push(peer)
    return peer
  }
  try {
    say(`a broker listens at ${broker.url}: a stranger, which carries sealed messages only`)
    const host = start('host', 'create')
    say('host:  gonet create')
    const { room } = await host.next('room')
    say(`host:  the room is open: ${formatRoomId(room)}`)
    const guest = start('guest', 'join', room)
    say(`guest: gonet join ${formatRoomId(room)}`)
    const { address } = await guest.next('joined')
    say(`guest: found the host over the broker; my address in the room is ${address}`)
    const path = await guest.next('path')
    say(`guest: the path to the host is direct: UDP to ${path.remote}, under WireGuard`)
    guest.type(GuestLine)
    const fromGuest = await host.next('message')
    say(`host:  reads   ${fromGuest.from}: ${fromGuest.text}`)
    host.type(HostLine)
    const fromHost = await guest.next('message')
    say(`guest: reads   ${fromHost.from}: ${fromHost.text}`)
    if (fromGuest.text !== GuestLine || fromHost.text !== HostLine)
      throw failed('a line was changed on its way')
    await guest.stop()
    await host.next('member', ({ state }) => state === 'left')
    say('guest: has left')
    await host.stop()
    say('host:  has left; both lines arrived')
  } finally {
    clearTimeout(timer)
    for (const signal of LeaveSignals) process.off(signal, onSignal)
    await Promise.all(peers.map((peer) => peer.stop()))
    await broker.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Named<Name extends RoomEvent['event']> = Extract<RoomEvent, { readonly event: Name }>

/** One process of the command, and the events that it prints. */
class Peer {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #limit: AbortSignal
  readonly #events: RoomEvent[] = []
  #diagnostics = ''
  #isOver = false
  #wake: (() => void) | undefined

  constructor(name: string, args: readonly string[], folder: string, limit: AbortSignal) {
    this.#name = name
    this.#limit = limit
    const common = ['--json', '--name', name, '--signal', 'mqtt', '--state', join(folder, name)]
    this.#child = spawn(process.execPath, [process.argv[1] ?? '', ...common, ...args], {
      cwd: folder,
      env: environment(folder),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const wake = (): void => this.#wake?.()
    limit.addEventListener('abort', wake)
    const { stdin, stdout, stderr } = this.#child
    // A peer that ends early closes its input; that it ended is noticed anyway.
    stdin?.on('error', () => undefined)
    stderr?.on('data', (chunk: Buffer) => {
      this.#diagnostics = (this.#diagnostics + chunk.toString()).slice(-2000)
    })
    this.#child.on('error', (error) => {
      this.#diagnostics += explain(error)
    })
    this.#child.on('close', () => {
      this.#isOver = true
      wake()
    })
    if (stdout === null) return
    createInterface({ input: stdout }).on('line', (line) => {
      this.#events.push(JSON.parse(line) as RoomEvent)
      wake()
    })
  }

  /** The next event of a name, which may have come already; others before it are passed over. */
  async next<Name extends RoomEvent['event']>(
    name: Name,
    matches: (event: Named<Name>) => boolean = () => true,
  ): Promise<Named<Name>> {
    const wanted = (event: RoomEvent): event is Named<Name> =>
      event.event === name && matches(event as Named<Name>)
    while (true) {
      const index = this.#events.findIndex(wanted)
      const found = this.#events.splice(index, index < 0 ? 0 : 1)[0]
      if (found !== undefined && wanted(found)) return found
      if (this.#limit.aborted) throw failed(`the ${this.#name} was not done in time`)
      if (this.#isOver) throw failed(`the ${this.#name} ended early: ${this.#diagnostics.trim()}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Lets it leave, and does not wait for ever. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isOver || this.#child.pid === undefined) return
    const closed = once(this.#child, 'close')
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), StopMs)
    await closed
    clearTimeout(timer)
  }
}

/** The user's own configuration must not lead the demonstration to other machines. */
function environment(folder: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^GONET_/i.test(name))
  return { ...Object.fromEntries(own), XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder }
}

function failed(reason: string): GonetError {
  return new GonetError('demo-failed', `The demonstration failed: ${reason}`)
}
