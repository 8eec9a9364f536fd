/**
 * A network namespace of one's own, without root: a user namespace in which one is root makes it, and a process holds
 * it for as long as gonet runs (docs/decisions/0017). Linux.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { GonetError, UsageError } from '../../core/errors.js'
import { childFile } from './child-file.js'
import { environment } from './ip-command.js'
import { type Libc, loadLibc } from './libc.js'

const LimitMs = 10_000
/** Runs the child, then becomes what holds the namespace: it ends with its stdin, however gonet ends. */
const Holder = '"$1" "$2" "$3" && exec cat >/dev/null 3>&-'
const MaxStderr = 4096

export interface Namespace {
  /** Of the interface in it. */
  readonly descriptor: number
  /** The process that holds it. */
  readonly pid: number
  /** Whether it still does: somebody may have ended it. */
  readonly isHeld: boolean
  /** Lets go of it: it ends with the last program in it. Idempotent. */
  close(): Promise<void>
}

/** What runs a program in a namespace that this process holds. */
export function insideNamespace(pid: number): readonly string[] {
  return ['nsenter', '--user', '--net', '--preserve-credentials', `--target=${pid}`]
}

/**
 * Makes a namespace with an interface in it.
 * @param name the interface's
 * @throws UsageError `namespace-forbidden`, `namespace-missing`, and what `createTun` throws
 */
export async function createNamespace(name: string): Promise<Namespace> {
  const libc = await loadLibc()
  const pair = libc.socketPair()
  if (pair === undefined) throw new GonetError('interface-failed', 'No pair of sockets can be had')
  const [ours, theirs] = pair
  const file = childFile instanceof URL ? fileURLToPath(childFile) : childFile
  let holder: ChildProcess
  try {
    const args = ['-Urn', '--', 'sh', '-c', Holder, 'gonet', process.execPath, file, name]
    const stdio: StdioOptions = ['pipe', 'ignore', 'pipe', theirs]
    // Away from the terminal, whose Ctrl-C is for gonet, which has a goodbye to say.
    holder = spawn('unshare', args, { stdio, env: environment(), detached: true })
  } finally {
    closeSync(theirs)
  }
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()))
  holder.stdin?.on('error', () => undefined)
  const close = async (): Promise<void> => {
    holder.stdin?.end()
    await ended
  }
  try {
    const descriptor = await receive(libc, ours, holder)
    // It is a process of its own by now, whatever has been said.
    holder.stderr?.destroy()
    return {
      descriptor,
      pid: holder.pid ?? 0,
      get isHeld() {
        return holder.exitCode === null && holder.signalCode === null
      },
      close,
    }
  } catch (error) {
    holder.kill()
    await close()
    throw error
  } finally {
    closeSync(ours)
  }
}

/** Waits for the descriptor, or for what the child says instead. */
function receive(libc: Libc, socket: number, holder: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = ''
    const end = (failure?: Error): void => {
      clearTimeout(limit)
      poll.close()
      if (failure !== undefined) reject(failure)
    }
    const limit = setTimeout(() => end(tooSlow()), LimitMs)
    const poll = libc.poll(socket, () => {
      const descriptor = libc.receive(socket)?.descriptor
      // At the end of the socket nothing comes: what has failed says so by itself.
      if (descriptor === undefined) poll.close()
      else {
        end()
        resolve(descriptor)
      }
    })
    holder.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, MaxStderr)
    })
    holder.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') end(error)
      else {
        end(
          new UsageError('namespace-missing', 'There is no `unshare` on this machine', {
            advice: 'Install util-linux, with: sudo apt install util-linux',
          }),
        )
      }
    })
    holder.once('close', () => void explainEnd(said).then(end, end))
  })
}

/** Why there is no namespace, by what was said instead of it. */
async function explainEnd(said: string): Promise<Error> {
  const line = said.trim().split('\n').at(-1) ?? ''
  if (line.startsWith('{')) {
    const { code, message, advice } = JSON.parse(line) as Record<'code' | 'message' | 'advice', string>
    return new UsageError(code, message, { advice })
  }
  const advice = await whatMends()
  return new UsageError('namespace-forbidden', `This system lets no user namespace be made (${line})`, {
    advice,
  })
}

/** The setting that stands in the way, as the command that changes it. */
async function whatMends(): Promise<string> {
  const obstacles = [
    ['kernel.unprivileged_userns_clone', 0, 1],
    ['user.max_user_namespaces', 0, 10_000],
    ['kernel.apparmor_restrict_unprivileged_userns', 1, 0],
  ] as const
  for (const [setting, obstructing, mended] of obstacles) {
    const path = `/proc/sys/${setting.replaceAll('.', '/')}`
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined && Number(text) === obstructing) return `Run: sudo sysctl ${setting}=${mended}`
  }
  return 'In a container, allow it, such as by docker run --security-opt seccomp=unconfined'
}

function tooSlow(): GonetError {
  return new GonetError('interface-failed', `The namespace was not ready within ${LimitMs / 1000} s`)
}
