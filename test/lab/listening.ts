import type { Namespace } from './namespace.js'

/**
 * Resolves when sockets are bound there, as `ss` lists them.
 * @param kind of sockets: listening ones of TCP or UDP
 * @throws Error where one of them is not there within 20 s
 */
export async function listening(
  namespace: Namespace,
  kind: '-lnt' | '-lnu',
  ...addresses: readonly string[]
): Promise<void> {
  const until = performance.now() + 20_000
  while (true) {
    const listed = await namespace.run('ss', '-H', kind)
    const silent = addresses.filter((address) => !listed.includes(`${address} `))
    if (silent.length === 0) return
    if (performance.now() > until) throw new Error(`nobody listens at ${silent.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
