/**
 * Runs inside a fresh user and network namespace, where it is root: makes the interface there, hands its descriptor to
 * gonet outside by the socket that is descriptor 3, and ends. Its only argument is the interface's name.
 */
import { GonetError } from '../../core/errors.js'
import { loadLibc } from './libc.js'
import { createTun } from './tun-device.js'

const Socket = 3

void run(process.argv[2] ?? '')

async function run(name: string): Promise<void> {
  try {
    const descriptor = await createTun(name)
    const libc = await loadLibc()
    if (libc.sendDescriptor(Socket, Uint8Array.of(1), descriptor) < 0) {
      throw new GonetError('interface-failed', `The descriptor cannot be handed over (error ${libc.errno()})`)
    }
  } catch (error) {
    if (!(error instanceof GonetError)) throw error
    const { code, message, advice } = error
    process.stderr.write(`${JSON.stringify({ code, message, advice })}\n`)
    process.exitCode = 1
  }
}
