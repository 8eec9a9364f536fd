/** The nodes of the DHT that we ask first, as options name them: `host:port`. */

export interface BootstrapNode {
  /** A name or an IPv4 address: the DHT speaks IPv4 only. */
  readonly host: string
  readonly port: number
}

const Form = /^(?<host>[^:[\]/@\s]+):(?<port>\d{1,5})$/

/** Undefined for what is no `host:port`. */
export function parseBootstrapNode(text: string): BootstrapNode | undefined {
  const { host, port } = Form.exec(text)?.groups ?? {}
  const number = Number(port)
  if (host === undefined || number < 1 || number > 65_535) return undefined
  return { host, port: number }
}

export function formatBootstrapNode({ host, port }: BootstrapNode): string {
  return `${host}:${port}`
}
