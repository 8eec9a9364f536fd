/** Errors of the DHT library, and what they say of the other side. */

/**
 * Codes with which connecting fails after the other side has answered our handshake: it is there, but no
 * path to it could be found.
 */
const AfterAnswer: ReadonlySet<string> = new Set([
  'CANNOT_HOLEPUNCH',
  'HOLEPUNCH_ABORTED',
  'HOLEPUNCH_INVALID',
  'HOLEPUNCH_PROBE_TIMEOUT',
  'HOLEPUNCH_DOUBLE_RANDOMIZED_NATS',
  'REMOTE_ABORTED',
  'REMOTE_NOT_HOLEPUNCHING',
  'REMOTE_NOT_HOLEPUNCHABLE',
])

/** Whether the other side is there all the same. */
export function hasAnswered(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && AfterAnswer.has(code)
}
