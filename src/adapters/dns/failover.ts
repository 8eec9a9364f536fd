/** Several servers that can each do the same: the one that answered last is asked first. */
import { SignallingError } from '../../core/errors.js'
import type { DnsServer } from './settings.js'

export class Failover {
  readonly #servers: readonly [DnsServer, ...DnsServer[]]
  #current = 0

  constructor(servers: readonly [DnsServer, ...DnsServer[]]) {
    this.#servers = servers
  }

  get current(): DnsServer {
    return this.#servers[this.#current] ?? this.#servers[0]
  }

  /** @throws what the last server's failure is */
  async ask<Result>(question: (server: DnsServer) => Promise<Result>): Promise<Result> {
    const first = this.#current
    for (let step = 0; ; step++) {
      const at = (first + step) % this.#servers.length
      try {
        const result = await question(this.#servers[at] ?? this.#servers[0])
        this.#current = at
        return result
      } catch (error) {
        if (step + 1 >= this.#servers.length || !(error instanceof SignallingError)) throw error
      }
    }
  }
}
