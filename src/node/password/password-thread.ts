/** The password side of a room, in a thread of its own, which is started when there is something to prove. */
import { Worker } from 'node:worker_threads'
import { GonetError } from '../../core/errors.js'
import type { PasswordAnswer, PasswordProof, PasswordRequest } from '../../core/password-proof.js'
import type { PasswordRegistration } from './opaque.js'
import type { ThreadAnswer, ThreadRequest } from './thread.js'
import { threadFile } from './thread-file.js'

/** Requests under way: strangers can begin logins. */
const MaxWaiting = 64

/**
 * Proves a guest's password.
 * @param password what the user gave, whose thread starts at once, while the host is looked for; or what asks for it,
 *   once, when the host wants it, and comes to undefined where there is none
 */
export function guestPassword(password: string | (() => Promise<string | undefined>)): PasswordProof {
  const proof = new PasswordThread(async (thread) => {
    const given = typeof password === 'string' ? password : await password()
    if (given !== undefined) thread().post({ kind: 'guest', password: given })
    return given !== undefined
  })
  if (typeof password === 'string') void proof.begin()
  return proof
}

/**
 * Checks guests' passwords.
 * @param secret the password, or what was registered before
 * @returns what was registered, which is to be kept instead of the password
 * @throws GonetError `password-thread` where the thread cannot run
 */
export async function hostPassword(
  hostKey: Uint8Array,
  secret: PasswordRegistration | string,
): Promise<{ readonly proof: PasswordProof; readonly registration: PasswordRegistration }> {
  const proof = new PasswordThread(() => Promise.resolve(true))
  const registration = await proof.register(hostKey, secret)
  if (registration !== undefined) return { proof, registration }
  await proof.close()
  throw new GonetError('password-thread', 'The thread that checks passwords does not run', {
    advice: 'This is a bug, or a system without worker threads',
  })
}

/** Prepares the thread for its side. @returns whether there is a password */
type Begin = (thread: () => Thread) => Promise<boolean>

class PasswordThread implements PasswordProof {
  readonly #begin: Begin
  #thread: Thread | undefined
  #begun: Promise<boolean> | undefined
  #isClosed = false

  constructor(begin: Begin) {
    this.#begin = begin
  }

  async register(
    hostKey: Uint8Array,
    secret: PasswordRegistration | string,
  ): Promise<PasswordRegistration | undefined> {
    const answer = await this.#started().ask({ kind: 'host', hostKey, secret })
    return answer !== undefined && 'record' in answer ? answer : undefined
  }

  /** Prepares for the first request. */
  begin(): Promise<boolean> {
    this.#begun ??= this.#begin(() => this.#started()).catch(() => false)
    return this.#begun
  }

  async perform(request: Exclude<PasswordRequest, { readonly kind: 'forget' }>): Promise<PasswordAnswer> {
    const answer = (await this.begin()) && !this.#isClosed ? await this.#started().ask(request) : undefined
    return answer !== undefined && 'kind' in answer ? answer : { kind: 'unavailable' }
  }

  forget(id: string): void {
    this.#thread?.post({ kind: 'forget', id })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#thread?.close()
  }

  #started(): Thread {
    this.#thread ??= new Thread()
    return this.#thread
  }
}

/** A worker that answers in the order in which it is asked. */
class Thread {
  readonly #worker = new Worker(threadFile)
  readonly #waiting: ((answer: ThreadAnswer | undefined) => void)[] = []
  #isOver = false

  constructor() {
    this.#worker.on('message', (answer: ThreadAnswer) => this.#waiting.shift()?.(answer))
    this.#worker.on('error', () => this.#end())
    this.#worker.on('exit', () => this.#end())
  }

  post(request: ThreadRequest): void {
    if (!this.#isOver) this.#worker.postMessage(request)
  }

  /** @returns undefined where the thread has ended, or has too much to do */
  ask(request: ThreadRequest): Promise<ThreadAnswer | undefined> {
    if (this.#isOver || this.#waiting.length >= MaxWaiting) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#worker.postMessage(request)
    })
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#worker.terminate()
  }

  #end(): void {
    this.#isOver = true
    for (const resolve of this.#waiting.splice(0)) resolve(undefined)
  }
}
