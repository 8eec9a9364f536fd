import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { UsageError } from '../../core/errors.js'
import type { NamespaceAnswer } from '../../node/control/requests/namespace.js'
import { insideNamespace } from '../../node/network/namespace.js'
import type { GlobalOptions } from '../global-options.js'
import { withRunningRoom } from '../running-room.js'

/**
 * Runs a program in the network namespace of a running room, on this process's own streams, and waits for its end.
 * @returns its exit code; 128 and the signal's number where a signal has ended it
 * @throws UsageError `namespace-none`, `namespace-missing`; what finding the running room throws
 */
export async function runInside(command: readonly string[], options: GlobalOptions): Promise<number> {
  const answer = await withRunningRoom(options, (client) => client.request('namespace'))
  const { pid } = answer as NamespaceAnswer
  if (pid === null) {
    throw new UsageError('namespace-none', 'The room has no network namespace to run programs in', {
      advice:
        'Start it with --set network.mode=namespace. With network.mode tun, programs run there as they are',
    })
  }
  const [program = '', ...args] = [...insideNamespace(pid), '--', ...command]
  const child = spawn(program, args, { stdio: 'inherit' })
  // A terminal's signals reach the program by themselves; it decides what becomes of them.
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  const ignore = (): void => undefined
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, forward)
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (cause) => {
        reject(
          new UsageError('namespace-missing', 'There is no `nsenter` on this machine', {
            advice: 'Install util-linux, with: sudo apt install util-linux',
            cause,
          }),
        )
      })
      child.once('exit', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
      })
    })
  } finally {
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, forward)
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.off(signal, ignore)
  }
}
