/**
 * Tells systemd how a service does (sd_notify(3)). It wants Unix datagrams, which Node does not have: the command
 * systemd-notify, which comes with systemd, sends them.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { explain } from '../core/errors.js'
import type { Clock, Logger } from '../core/ports.js'

/** How long the command may take, in ms. */
const CommandMs = 10_000

export interface ServiceNotifierOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID count. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Pick<Clock, 'after'>
  readonly logger: Logger
  /** Sends assignments such as `READY=1`; by default through systemd-notify. */
  readonly send?: (assignments: readonly string[]) => Promise<void>
}

/** Does nothing where no service manager has asked for it. */
export class ServiceNotifier {
  readonly #options: ServiceNotifierOptions
  readonly #send: (assignments: readonly string[]) => Promise<void>
  /** What is not sent yet: of each variable only the latest. */
  readonly #waiting = new Map<string, string>()
  #sending: Promise<void> | undefined
  #isSilent: boolean
  #cancelWatchdog: (() => void) | undefined

  constructor(options: ServiceNotifierOptions) {
    this.#options = options
    this.#send = options.send ?? systemdNotify
    this.#isSilent = (options.environment['NOTIFY_SOCKET'] ?? '') === ''
  }

  /** The service runs; from now on the watchdog is told that it lives, where there is one. */
  ready(status: string): void {
    this.#tell({ READY: '1', STATUS: status })
    this.#watch()
  }

  /** @param text for people, one line */
  status(text: string): void {
    this.#tell({ STATUS: text })
  }

  stopping(): void {
    this.#tell({ STOPPING: '1' })
  }

  /** Resolves when all is sent that was told. Idempotent. */
  async close(): Promise<void> {
    this.#cancelWatchdog?.()
    await this.#sending
    this.#isSilent = true
  }

  #watch(): void {
    const intervalMs = watchdogMs(this.#options.environment)
    if (intervalMs === undefined || this.#isSilent) return
    this.#cancelWatchdog = this.#options.clock.after(intervalMs / 2, () => {
      this.#tell({ WATCHDOG: '1' })
      this.#watch()
    })
  }

  #tell(variables: Readonly<Record<string, string>>): void {
    if (this.#isSilent) return
    for (const [name, value] of Object.entries(variables)) {
      this.#waiting.set(name, value.replace(/\s+/g, ' '))
    }
    this.#sending ??= this.#sendAll()
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#waiting.size > 0) {
        const assignments = Array.from(this.#waiting, ([name, value]) => `${name}=${value}`)
        this.#waiting.clear()
        await this.#send(assignments)
      }
    } catch (error) {
      this.#isSilent = true
      this.#cancelWatchdog?.()
      this.#options.logger.warn('the service manager cannot be told', { reason: explain(error) })
    }
    this.#sending = undefined
  }
}

/** How often the service has to say that it lives; undefined where nobody asks. */
function watchdogMs(environment: Readonly<Record<string, string | undefined>>): number | undefined {
  const { WATCHDOG_PID: pid, WATCHDOG_USEC: microseconds = '' } = environment
  if (pid !== undefined && pid !== String(process.pid)) return undefined
  return /^[1-9]\d{0,14}$/.test(microseconds) ? Number(microseconds) / 1000 : undefined
}

async function systemdNotify(assignments: readonly string[]): Promise<void> {
  await promisify(execFile)('systemd-notify', assignments, { timeout: CommandMs })
}
