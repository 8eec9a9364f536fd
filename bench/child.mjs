// Processes that do as they are asked, and say how much they use.
import { fork } from 'node:child_process'
import { readdirSync } from 'node:fs'

/** A program of this folder that serves requests (`serve`), seen from the process that started it. */
export class Child {
  #waiting = new Map()
  #count = 0

  constructor(program, args = [], { execArgv = [] } = {}) {
    this.process = fork(program, args, { execArgv: ['--expose-gc', ...execArgv] })
    this.ended = new Promise((resolve) =>
      this.process.on('exit', (status, signal) => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`ended: ${signal ?? status}`))
        this.#waiting.clear()
        resolve()
      }),
    )
    this.process.on('message', ({ id, result, problem }) => {
      const { resolve, reject } = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (problem === undefined) resolve(result)
      else reject(new Error(problem))
    })
    // Whoever waits for an answer hears of it when the process ends.
    this.process.on('error', () => undefined)
  }

  ask(request, options = {}) {
    return new Promise((resolve, reject) => {
      if (!this.process.connected) throw new Error(`there is nobody to ask: ${request}`)
      this.#count += 1
      this.#waiting.set(this.#count, { resolve, reject })
      this.process.send({ id: this.#count, request, options }, () => undefined)
    })
  }

  async stop(signal = 'SIGKILL') {
    this.process.kill(signal)
    await this.ended
  }
}

/** Answers the requests of the process that started this one, and ends with it. */
export function serve(answers) {
  const all = { usage, cpu: cpuMs, ...answers }
  process.on('message', async ({ id, request, options }) => {
    const answer = await Promise.resolve(options)
      .then(all[request])
      .then(
        (result) => ({ result }),
        (error) => ({ problem: `${request}: ${error.stack}` }),
      )
    if (process.connected) process.send({ id, ...answer })
  })
  process.on('disconnect', () => process.exit(0))
}

/** What this process holds when nothing is left to collect. */
async function usage() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const resources = {}
  for (const type of process.getActiveResourcesInfo()) resources[type] = (resources[type] ?? 0) + 1
  return { heapUsed, external, rss, descriptors: readdirSync('/proc/self/fd').length, resources }
}

function cpuMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
