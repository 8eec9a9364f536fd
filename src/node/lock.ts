/**
 * One process per identity and room. A lock is a file that names its process by id and start time, so that
 * a later process with the same id is not taken for it. It appears with its whole content, by a hard link.
 *
 * A lock whose process is gone is taken over without a moment in which two could hold it: to replace the
 * lock with nonce N, a process must first hold the lock `<path>~N`, and then see that N is still there. Only
 * the holder of `<path>~N` can have replaced N, so what it sees stays true until it renames its own claim
 * over it. The claim is itself a lock, and is taken over in the same way where its process died.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync, unlinkSync } from 'node:fs'
import { fromUtf8, toHex, utf8 } from '../core/encoding.js'
import { UsageError } from '../core/errors.js'
import { createFile, hasCode, onDisk } from './file-store.js'

/** Each level is a process that died in the middle of a takeover. */
const TakeoverDepthMax = 8
/** Each attempt more is a lock that came or went while this process looked at it. */
const AttemptsMax = 100

export interface Lock {
  /** Lets the next process in. Idempotent; never throws. */
  release(): void
}

/**
 * @param what what the lock is for, as the errors name it: `room cf83…`
 * @throws UsageError `locked` where a living process has it; GonetError `store-failed`
 */
export function acquireLock(path: string, what: string): Lock {
  const nonce = toHex(randomBytes(8))
  const own = formatHolder({ pid: process.pid, started: startTime(process.pid) ?? '0', nonce })
  acquire(path, own, nonce, what, TakeoverDepthMax)
  let held = true
  return {
    release: () => {
      if (!held) return
      held = false
      try {
        if (readText(path) === own) unlinkSync(path)
      } catch {
        // Left behind, it names a process that will soon be gone, and is taken over.
      }
    },
  }
}

interface Holder {
  readonly pid: number
  /** Clock ticks from boot to the process's start, as /proc has it; `0` where there is no /proc. */
  readonly started: string
  /** Different for every acquisition. */
  readonly nonce: string
}

function acquire(path: string, own: string, nonce: string, what: string, depthLeft: number): void {
  for (let attempt = 0; attempt < AttemptsMax; attempt++) {
    // Its process does not outlast a crash of the machine either.
    if (createFile(path, `${path}~${nonce}.new`, utf8(own), false)) return
    const found = onDisk(`cannot read ${path}`, () => readText(path))
    if (found === undefined) continue
    const holder = parseHolder(found)
    if (depthLeft === 0 || (holder !== undefined && isAlive(holder))) {
      throw locked(what, holder)
    }
    const claim = `${path}~${holder?.nonce ?? 'broken'}`
    acquire(claim, own, nonce, what, depthLeft - 1)
    const replaced = onDisk(`cannot write ${path}`, () => {
      if (readText(path) === found) {
        renameSync(claim, path)
        return true
      }
      rmSync(claim, { force: true })
      return false
    })
    if (replaced) return
  }
  throw locked(what, undefined)
}

function locked(what: string, holder: Holder | undefined): UsageError {
  const name = holder === undefined ? '' : ` (process ${holder.pid})`
  return new UsageError('locked', `another gonet${name} is running ${what} from this state folder`, {
    advice: 'Stop it first, or give another folder with --state',
  })
}

function formatHolder({ pid, started, nonce }: Holder): string {
  return `${pid} ${started} ${nonce}\n`
}

/** Undefined for a text that no lock has: a file that lost its content in a crash of the machine. */
function parseHolder(text: string): Holder | undefined {
  const [, pid, started, nonce] = /^(\d{1,10}) (\d{1,20}) ([0-9a-f]{16})\n$/.exec(text) ?? []
  if (pid === undefined || started === undefined || nonce === undefined) return undefined
  return { pid: Number(pid), started, nonce }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: there is one, of another user.
    if (!hasCode(error, 'EPERM')) return false
  }
  const now = startTime(pid)
  return now === undefined || started === '0' || now === started
}

/** Undefined where it cannot be known; empty for a process that has ended and waits for its parent. */
function startTime(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The second field is the command's name in brackets, and may hold anything, brackets too (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? '' : fields[19]
}

function readText(path: string): string | undefined {
  try {
    return fromUtf8(readFileSync(path)) ?? ''
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
