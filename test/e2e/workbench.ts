/**
 * The built command as a user runs it: in a folder of its own, with nothing of the user's configuration, its
 * events and lines at hand. What a test starts here ends with it, by its own pid.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RoomEvent } from '../../src/room/events.js'

export const gonet: string = fileURLToPath(new URL('../../dist/bin/gonet.js', import.meta.url))

const PatienceMs = 10_000

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

type Named<Name extends RoomEvent['event']> = Extract<RoomEvent, { readonly event: Name }>

export class Workbench {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'gonet-e2e-'))
  readonly #running: Running[] = []

  constructor() {
    if (!existsSync(gonet)) throw new Error('the command is not built: npm run build')
  }

  /** Starts the command. Relative paths in its arguments are in this workbench's folder. */
  start(...args: readonly string[]): Running {
    return this.startUnder([], ...args)
  }

  /** Starts the command under another, such as `ip netns exec NAME`, which must become it. */
  startUnder(command: readonly string[], ...args: readonly string[]): Running {
    const running = new Running(command, args, this.folder)
    this.#running.push(running)
    return running
  }

  /** Runs the command to its end, with this stdin. */
  async run(args: readonly string[], stdin: string | Uint8Array = ''): Promise<Finished> {
    const running = this.start(...args)
    running.end(stdin)
    return running.finished
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#running.map((running) => running.kill()))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Running {
  readonly child: ChildProcess
  /** Resolves when it has ended. */
  readonly finished: Promise<Finished>
  stdout = ''
  stderr = ''
  readonly #passed = { lines: 0 }
  #isOver = false
  #wake: (() => void)[] = []

  constructor(under: readonly string[], args: readonly string[], folder: string) {
    const own = Object.entries(process.env).filter(([name]) => !/^(GONET|XDG)_|^NO_COLOR$/i.test(name))
    const home = {
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, 'config'),
      XDG_STATE_HOME: join(folder, 'state'),
    }
    const [program = process.execPath, ...rest] = [...under, process.execPath, gonet, ...args]
    this.child = spawn(program, rest, {
      cwd: folder,
      env: { ...Object.fromEntries(own), ...home },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child.stdin!.on('error', () => undefined)
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#changed()
    })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#changed()
    })
    this.finished = new Promise((resolve) => {
      this.child.on('close', (code) => {
        this.#isOver = true
        this.#changed()
        resolve({ code, stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  /** Whole lines of stdout so far. */
  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1)
  }

  get events(): RoomEvent[] {
    return this.lines.map((line) => JSON.parse(line) as RoomEvent)
  }

  /** The first line of stdout, of those that no call has passed yet, that matches. */
  line(pattern: RegExp): Promise<string> {
    return this.#await(String(pattern), (line) => (pattern.test(line) ? line : undefined))
  }

  /** The same for events. */
  next<Name extends RoomEvent['event']>(
    name: Name,
    passes: (event: Named<Name>) => boolean = () => true,
  ): Promise<Named<Name>> {
    return this.#await(`the event ${name}`, (line) => {
      const event = JSON.parse(line) as RoomEvent
      return event.event === name && passes(event as Named<Name>) ? (event as Named<Name>) : undefined
    })
  }

  /** Resolves when stderr has said something like this. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stderr)) {
      if (this.#isOver) throw new Error(`it ended without a word like ${pattern}: ${this.stderr}`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  type(text: string): void {
    this.child.stdin!.write(`${text}\n`)
  }

  end(last: string | Uint8Array = ''): void {
    this.child.stdin!.end(last)
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** What is left of it goes at once. */
  async kill(): Promise<void> {
    if (this.child.pid === undefined || this.#isOver) return
    this.child.kill('SIGKILL')
    await this.finished
  }

  async #await<Result>(what: string, find: (line: string) => Result | undefined): Promise<Result> {
    const until = performance.now() + PatienceMs
    const timer = setTimeout(() => this.#changed(), PatienceMs + 1)
    try {
      while (true) {
        for (const { lines } = this; this.#passed.lines < lines.length; ) {
          const found = find(lines[this.#passed.lines++]!)
          if (found !== undefined) return found
        }
        if (performance.now() >= until || this.#isOver) {
          const state = this.#isOver ? 'it ended' : 'it is late'
          throw new Error(`${what} did not come, ${state}:\n${this.stdout}\n${this.stderr}`)
        }
        await new Promise<void>((resolve) => this.#wake.push(resolve))
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/** Whole sentences on stderr, without what is logged. */
export function complaints(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line.startsWith('gonet: '))
}
