/** A router's epoch: the seconds for which it has kept its state. Where they jump, it has lost it. */
export class Epoch {
  #last: { readonly at: number; readonly seconds: number } | undefined

  /**
   * Takes the epoch of a PCP response.
   * @returns whether the router has lost its mappings since the last one (RFC 6887 section 8.5)
   */
  handlePcp(now: number, seconds: number): boolean {
    const last = this.#last
    this.#last = { at: now, seconds }
    if (last === undefined) return false
    if (seconds < last.seconds - 1) return true
    const client = (now - last.at) / 1000
    const server = seconds - last.seconds
    return client + 2 < server - server / 16 || server + 2 < client - client / 16
  }

  /**
   * Takes the epoch of a NAT-PMP response.
   * @returns whether the router has lost its mappings since the last one (RFC 6886 section 3.6)
   */
  handleNatPmp(now: number, seconds: number): boolean {
    const last = this.#last
    this.#last = { at: now, seconds }
    if (last === undefined) return false
    return seconds < last.seconds + ((now - last.at) / 1000) * (7 / 8) - 2
  }

  /** Another protocol, or another router behind the same address, counts from elsewhere. */
  forget(): void {
    this.#last = undefined
  }
}
