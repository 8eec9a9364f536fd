/** A server on 127.0.0.1 that a test owns. */
export interface TestServer {
  readonly port: number
  /** Ends it, and every connection to it. */
  stop(): Promise<void>
  /** Starts it again on the same port; resolves when it listens. */
  start(): Promise<void>
  /** Ends it for good and removes its files. */
  close(): Promise<void>
}
