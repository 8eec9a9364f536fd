/**
 * The sans-IO contract that every protocol machine of gonet keeps.
 *
 * A machine owns no socket, no clock and no randomness: inputs are methods named `handle…(now, …)`, and
 * whoever runs it (the driver on real sockets, the simulator on a simulated internet) does, after each
 * input, one drain: `pollTransmit` until undefined, `pollEvent` until undefined, then `pollTimeout`.
 *
 * `now` is a monotonic time in milliseconds. It only ever grows from call to call, and its origin means
 * nothing.
 */
export interface Machine<Event, Transmit> {
  /** Runs everything whose deadline is at or before `now`. Calling it early is allowed and does nothing. */
  handleTimeout(now: number): void
  /** The next thing to send, oldest first, or undefined when there is none. */
  pollTransmit(): Transmit | undefined
  /** The next thing that happened, oldest first, or undefined when there is none. */
  pollEvent(): Event | undefined
  /** The time in ms at which `handleTimeout` wants to be called next, or undefined for never. */
  pollTimeout(): number | undefined
}

/** A UDP endpoint: an IP address in its canonical text form (no brackets, no zone) and a port. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** An endpoint as it is reached from one base (RFC 8445 section 4): each base and endpoint are a path of their own. */
export interface Endpoint extends SocketAddress {
  /** The relay, or the further socket, that leads there and back; undefined for this machine's own port. */
  readonly via?: string
}

/** The key of an endpoint for maps: different for each base. */
export function endpointKey(endpoint: Endpoint): string {
  const key = formatSocketAddress(endpoint)
  return endpoint.via === undefined ? key : `${key} via ${endpoint.via}`
}

/** A UDP datagram to send. The family of the destination chooses the socket. */
export interface Datagram {
  readonly destination: SocketAddress
  readonly bytes: Uint8Array
}

/** `192.0.2.1:80` or `[2001:db8::1]:80`: the form that people read, and the key for maps. */
export function formatSocketAddress(address: SocketAddress): string {
  return address.address.includes(':')
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`
}

/** The earlier of two deadlines, where undefined is never. */
export function earliest(...deadlines: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined
  for (const deadline of deadlines) {
    if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline
  }
  return first
}
