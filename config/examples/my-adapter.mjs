// An adapter of one's own, complete: records are files in a folder that host and guests share, such as one that a
// server exports or a program keeps in step. Use it with `signal: ./my-adapter.mjs` (folder.yaml beside this
// file), or with
//
//     gonet --signal ./my-adapter.mjs --set adapters.folder.path=/srv/shared create
//
// docs/adapters.md tells what an adapter must do, and how to run the tests that this one passes.
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const traits = {
  maxRecordBytes: 16_384,
  delivery: 'poll',
  typicalLatencyMs: 300,
  // A file stays until it expires or is removed.
  standing: { host: true, join: true, reply: true },
  retracts: true,
  expires: true,
  needsCredentials: false,
}

/** Whoever can write to the folder can put anything there: no more than this of a box is read at a time. */
const MaxRecords = 1024
const RetryMs = 1000
const Sender = /^[0-9a-z]{1,64}$/

class FolderAdapter {
  name = 'folder'
  traits = traits
  #path
  #pollMs
  #context
  #closed = new AbortController()
  #state
  /** Files of ours, which go with us. */
  #written = new Set()

  constructor({ path, pollSeconds }, context) {
    this.#path = path
    this.#pollMs = pollSeconds * 1000
    this.#context = context
  }

  async open(_as, signal) {
    signal.throwIfAborted()
    // Whether the folder is there or not: from now on the state is reported.
    if (!this.#closed.signal.aborted) void this.#watchFolder()
  }

  async publish(record, signal) {
    const either = this.#either(signal)
    if (record.bytes.length > traits.maxRecordBytes) {
      throw failure('record-too-large', `a record has ${record.bytes.length} bytes, more than folder takes`)
    }
    const file = this.#fileOf(record)
    // The buffer is the caller's, who may use it again.
    const bytes = record.bytes.slice()
    await this.#retried(either, async () => {
      // Beside its place first: a reader must never see half a record.
      const draft = `${file}.${Buffer.from(this.#context.random.bytes(6)).toString('hex')}.tmp`
      // One by one: the shared folder itself is not ours to make.
      await made(join(this.#path, record.topic))
      await made(this.#boxOf(record))
      await writeFile(draft, bytes)
      // A file's time says when it expires.
      const expiry = new Date(Date.now() + record.expiresInMs)
      await utimes(draft, expiry, expiry)
      await rename(draft, file)
      this.#written.add(file)
    })
    // Aborted or closed while it was written: then nobody would remove it.
    if (either.aborted) await this.#remove(file)
    either.throwIfAborted()
  }

  async retract(key, signal) {
    signal.throwIfAborted()
    await this.#remove(this.#fileOf(key))
  }

  async watch(topic, box, onRecord, signal) {
    const either = this.#either(signal)
    /** The age of what was reported, by sender. */
    let reported = new Map()
    const read = async () => {
      reported = await this.#readBox(topic, box, reported, (record) => {
        if (!either.aborted) onRecord(record)
      })
    }
    await this.#retried(either, read)
    void (async () => {
      while (!either.aborted) {
        await this.#wait(this.#pollMs, either)
        await read().catch(() => undefined)
      }
    })().catch(() => undefined)
  }

  async close() {
    if (this.#closed.signal.aborted) return
    this.#closed.abort(failure('adapter-closed', 'the folder adapter was closed'))
    await Promise.all(Array.from(this.#written, (file) => this.#remove(file)))
  }

  /** Shows what is new in a box. Returns the ages of all that is there. */
  async #readBox(topic, box, reported, onRecord) {
    await stat(this.#path)
    const folder = this.#boxOf({ topic, box })
    // Nobody has put anything there yet.
    const names = await readdir(folder).catch(() => [])
    const seen = new Map()
    for (const sender of names.filter((name) => Sender.test(name)).slice(0, MaxRecords)) {
      try {
        const file = join(folder, sender)
        const stats = await stat(file)
        const { mtimeMs, size, ino } = stats
        const expiresInMs = mtimeMs - Date.now()
        if (!stats.isFile() || size > traits.maxRecordBytes || expiresInMs <= 0) continue
        const age = `${mtimeMs} ${ino}`
        seen.set(sender, age)
        if (reported.get(sender) === age) continue
        const bytes = new Uint8Array(await readFile(file))
        onRecord({ topic, box, sender, bytes, expiresInMs })
      } catch {
        // It was replaced or removed meanwhile.
      }
    }
    return seen
  }

  /** Does something as soon as the folder lets it. */
  async #retried(signal, action) {
    for (;;) {
      signal.throwIfAborted()
      try {
        await action()
        this.#report({ state: 'up' })
        return
      } catch (error) {
        this.#reportError(error)
      }
      await this.#wait(RetryMs, signal)
    }
  }

  async #watchFolder() {
    while (!this.#closed.signal.aborted) {
      await stat(this.#path).then(
        () => this.#report({ state: 'up' }),
        (error) => this.#reportError(error),
      )
      await this.#wait(RetryMs, this.#closed.signal).catch(() => undefined)
    }
  }

  #reportError({ code }) {
    const reason = code === 'ENOENT' ? 'is not there' : `cannot be used (${code})`
    this.#report({ state: 'down', reason: `the folder ${this.#path} ${reason}` })
  }

  #report(state) {
    const text = JSON.stringify(state)
    if (this.#closed.signal.aborted || text === this.#state) return
    this.#state = text
    this.#context.onState(state)
  }

  async #remove(file) {
    this.#written.delete(file)
    await rm(file, { force: true }).catch(() => undefined)
  }

  /** Ends with the caller's signal and with the adapter; throws where either has ended. */
  #either(signal) {
    const either = AbortSignal.any([signal, this.#closed.signal])
    either.throwIfAborted()
    return either
  }

  /** Time comes from the context, so that tests can have their own. */
  #wait(delayMs, signal) {
    return new Promise((resolve, reject) => {
      const end = () => {
        cancel()
        reject(signal.reason)
      }
      const cancel = this.#context.clock.after(delayMs, () => {
        signal.removeEventListener('abort', end)
        resolve()
      })
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
    })
  }

  #boxOf({ topic, box }) {
    return join(this.#path, topic, box.replace('/', '.'))
  }

  #fileOf(key) {
    return join(this.#boxOf(key), key.sender)
  }
}

async function made(folder) {
  await mkdir(folder).catch((error) => {
    if (error.code !== 'EEXIST') throw error
  })
}

/** gonet knows an error by its code. */
function failure(code, message) {
  return Object.assign(new Error(message), { code })
}

export default {
  name: 'folder',
  description: 'Files in a folder that everybody in the room can write to',
  traits,
  // gonet lends its Zod, so that this file needs no package.
  options: (zod) =>
    zod.strictObject({
      path: zod.string().describe('The shared folder.'),
      pollSeconds: zod.number().min(0.05).max(60).default(0.3).describe('How often it is read.'),
    }),
  create: async (options, context) => new FolderAdapter(options, context),
  // Whether all that is talked to is on this machine: for a folder nobody knows.
  loopbackOnly: () => false,
}
