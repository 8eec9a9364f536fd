/**
 * Network namespaces for tests against real peers (Linux, root). A lab is closed as a whole: what ran in it is
 * ended by its own pid, then its namespaces go, and with them their links.
 */
import { type ChildProcess, execFile, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

let created = 0

/** What stands in the way of namespaces with these commands in them; empty where nothing does. */
export function missingForLab(...commands: readonly string[]): string[] {
  const missing = ['ip', ...commands].filter((command) => !onPath(command))
  if (process.platform !== 'linux') missing.unshift('Linux')
  else if (process.getuid?.() !== 0) missing.unshift('root')
  return missing
}

export class Lab {
  readonly #name = `gonet-${process.pid}-${created++}`
  readonly #namespaces: Namespace[] = []
  readonly #closeNow = (): void => {
    for (const namespace of this.#namespaces) namespace.closeNow()
  }

  constructor() {
    process.on('exit', this.#closeNow)
  }

  /** A namespace of its own whose loopback is up. */
  async namespace(label: string): Promise<Namespace> {
    const namespace = new Namespace(`${this.#name}-${label}`)
    this.#namespaces.push(namespace)
    await execute('ip', ['netns', 'add', namespace.name])
    await namespace.run('ip', 'link', 'set', 'lo', 'up')
    return namespace
  }

  /** A veth pair named `device` at both ends, with addresses (CIDR) at each. */
  async link(
    device: string,
    first: readonly [Namespace, ...addresses: string[]],
    second: readonly [Namespace, ...addresses: string[]],
  ): Promise<void> {
    const peer = ['peer', 'name', device, 'netns', second[0].name]
    await execute('ip', ['link', 'add', 'name', device, 'netns', first[0].name, 'type', 'veth', ...peer])
    for (const [namespace, ...addresses] of [first, second]) {
      for (const address of addresses) await namespace.run('ip', 'address', 'add', address, 'dev', device)
      await namespace.run('ip', 'link', 'set', device, 'up')
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#namespaces.map((namespace) => namespace.close()))
    // Only now: the process may end while that is under way.
    this.#namespaces.length = 0
    process.off('exit', this.#closeNow)
  }
}

export class Namespace {
  readonly #children = new Set<ChildProcess>()

  constructor(readonly name: string) {}

  /**
   * Runs a command to its end.
   * @returns its stdout
   * @throws where it fails, with its stderr in the message
   */
  async run(command: string, ...parameters: readonly string[]): Promise<string> {
    return (await execute('ip', ['netns', 'exec', this.name, command, ...parameters])).stdout
  }

  /** Runs lines of shell, each of which must succeed. @returns their stdout */
  shell(...lines: readonly string[]): Promise<string> {
    return this.run('sh', '-ec', lines.join('\n'))
  }

  /** Starts a command that is ended with the namespace. */
  spawn(
    command: string,
    parameters: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv; readonly stdio?: StdioOptions } = {},
  ): ChildProcess {
    const { env = process.env, stdio = 'inherit' } = options
    // ip becomes the command (execvp), so that the pid is the command's.
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...parameters], { env, stdio })
    this.#children.add(child)
    child.on('exit', () => this.#children.delete(child))
    return child
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children].map(end))
    await execute('ip', ['netns', 'delete', this.name]).catch(() => undefined)
  }

  /** For the end of the process, where nothing can be waited for. */
  closeNow(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    try {
      execFileSync('ip', ['netns', 'delete', this.name], { stdio: 'ignore' })
    } catch {
      // It was never made.
    }
  }
}

/** SIGTERM, and SIGKILL for those that are not gone within two seconds. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise<void>((resolve) => {
    const impatience = setTimeout(() => child.kill('SIGKILL'), 2000)
    child.once('exit', () => {
      clearTimeout(impatience)
      resolve()
    })
    child.kill('SIGTERM')
  })
}

function onPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
