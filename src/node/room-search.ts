/** Looks for a key that may host a chosen room: at random, on every core, until one's hash contains the id. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { RoomId } from '../core/room-id.js'

export interface RoomSearchOptions {
  readonly signal: AbortSignal
  /** Called about twice a second. */
  readonly onProgress: (progress: RoomSearchProgress) => void
  /** Default: as many as there are cores. */
  readonly workers?: number
}

export interface RoomSearchProgress {
  /** Keys tried so far, on all cores. */
  readonly tried: number
  readonly perSecond: number
}

/** What a worker says: how many keys it has tried since it last said so, and the seed that it has found. */
interface Report {
  readonly tried: number
  readonly seed?: Uint8Array
}

const ReportMs = 500

/**
 * @returns the 32-byte seed of an identity whose key hash contains the id
 * @throws the signal's reason on abort
 */
export async function searchRoomKey(room: RoomId, options: RoomSearchOptions): Promise<Uint8Array> {
  const { signal, onProgress, workers: count = availableParallelism() } = options
  signal.throwIfAborted()
  const started = performance.now()
  let tried = 0
  const workers = Array.from({ length: count }, () => {
    return new Worker(`(${search.toString()})()`, { eval: true, workerData: { room, reportMs: ReportMs } })
  })
  const report = setInterval(() => {
    onProgress({ tried, perSecond: (tried * 1000) / (performance.now() - started) })
  }, ReportMs)
  let onAbort = (): void => undefined
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      onAbort = () => reject(signal.reason as Error)
      signal.addEventListener('abort', onAbort)
      for (const worker of workers) {
        worker.on('error', reject)
        worker.on('message', (message: Report) => {
          tried += message.tried
          if (message.seed !== undefined) resolve(message.seed)
        })
      }
    })
  } finally {
    signal.removeEventListener('abort', onAbort)
    clearInterval(report)
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

/** Runs in a worker, as text: it may use nothing from around it. */
function search(): void {
  const { createHash, generateKeyPairSync } = process.getBuiltinModule('node:crypto')
  const thread = process.getBuiltinModule('node:worker_threads')
  const { room, reportMs } = thread.workerData as { readonly room: string; readonly reportMs: number }
  let tried = 0
  for (let reportedAt = performance.now(); ; ) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    })
    tried += 1
    // Both encodings end with the 32 bytes that matter.
    const hash = createHash('sha512').update(publicKey.subarray(-32)).digest('hex')
    const isFound = hash.includes(room)
    if (!isFound && performance.now() - reportedAt < reportMs) continue
    reportedAt = performance.now()
    thread.parentPort?.postMessage({
      tried,
      ...(isFound && { seed: new Uint8Array(privateKey.subarray(-32)) }),
    })
    tried = 0
    if (isFound) return
  }
}
