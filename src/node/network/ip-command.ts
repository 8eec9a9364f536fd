/** What is set up by `ip` of iproute2, in this process's network namespace or in another. */
import { execFile } from 'node:child_process'
import { GonetError, UsageError } from '../../core/errors.js'

const LimitMs = 10_000
const MaxOutputBytes = 4 * 1024 * 1024

/** Runs `ip` with these arguments, and returns what it prints. */
export type IpCommand = (...args: readonly string[]) => Promise<string>

/**
 * @param before a command that runs another in a namespace; none by default
 * @returns what throws UsageError `ip-missing`, and GonetError `interface-failed` where `ip` fails
 */
export function ipCommand(before: readonly string[] = []): IpCommand {
  return (...args) => {
    const [program = 'ip', ...rest] = [...before, 'ip', ...args]
    return new Promise((resolve, reject) => {
      const options = { timeout: LimitMs, maxBuffer: MaxOutputBytes, env: environment() }
      execFile(program, rest, options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else if (error.code === 'ENOENT') reject(missing(program))
        else {
          const [said = ''] = stderr.split('\n')
          reject(new GonetError('interface-failed', `\`ip ${args.join(' ')}\` failed: ${said}`))
        }
      })
    })
  }
}

/** Users that are not root often lack the folders of what only root is thought to run. */
export function environment(): NodeJS.ProcessEnv {
  const path = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin'].filter(Boolean).join(':')
  return { ...process.env, PATH: path, LC_ALL: 'C' }
}

function missing(program: string): UsageError {
  const from = program === 'ip' ? 'iproute2' : 'util-linux'
  return new UsageError('ip-missing', `There is no \`${program}\` on this machine`, {
    advice: `Install ${from}, with: sudo apt install ${from}`,
  })
}
