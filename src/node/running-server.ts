/** A piece of infrastructure that `gonet serve` runs: what the command shows of it, and how it ends. */
export interface RunningServer {
  /** What it is and where: `an MQTT broker at 127.0.0.1:1883`. */
  readonly what: string
  /** What the JSON event `serving` has besides the server's name, such as `url`. */
  readonly details: Readonly<Record<string, string>>
  /** Options of gonet's that peers use it with, one text for each way to reach it, the best first. */
  readonly peerOptions: readonly string[]
  /** Rejects where it ends by itself, which it should not; undefined where it cannot. */
  readonly failed?: Promise<never>
  /** Ends it and every connection to it. Idempotent. */
  close(): Promise<void>
}
