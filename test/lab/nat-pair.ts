/** A host and a guest of the built command, each behind a NAT of the lab. */
import type { RoomEvent } from '../../src/room/events.js'
import { type Running, Workbench } from '../e2e/workbench.js'
import { type Access, type InternetOptions, NatLab, type NatType } from './nat.js'
import { type LabServers, type LabServersOptions, startLabServers } from './servers.js'
import type { TurnServer } from './turn-server.js'

type Path = Extract<RoomEvent, { readonly event: 'path' }>

export class NatPair {
  readonly lab: NatLab<'a' | 'b'>
  readonly #bench: Workbench
  readonly #servers: LabServers
  readonly #accesses: Readonly<Record<'a' | 'b', Access>>
  #host: Running | undefined
  #guest: Running | undefined

  /** @param a where the host is; @param b where the guest is */
  static async open(
    a: NatType | Access,
    b: NatType | Access,
    options: InternetOptions & LabServersOptions = {},
  ): Promise<NatPair> {
    const bench = new Workbench()
    const accesses = { a: accessOf(a), b: accessOf(b) }
    const lab = await NatLab.open(accesses, options)
    try {
      const servers = await startLabServers(lab.internet, bench.folder, options)
      return new NatPair(lab, bench, servers, accesses)
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(
    lab: NatLab<'a' | 'b'>,
    bench: Workbench,
    servers: LabServers,
    accesses: Readonly<Record<'a' | 'b', Access>>,
  ) {
    this.lab = lab
    this.#bench = bench
    this.#servers = servers
    this.#accesses = accesses
  }

  get host(): Running {
    if (this.#host === undefined) throw new Error('the host has not been started')
    return this.#host
  }

  get guest(): Running {
    if (this.#guest === undefined) throw new Error('the guest has not been started')
    return this.#guest
  }

  get turnServers(): readonly TurnServer[] {
    return this.#servers.turnServers
  }

  async startHost(): Promise<{ readonly room: string }> {
    this.#host = this.#start('a', 'create')
    return this.#host.next('room')
  }

  startGuest(room: string): Running {
    this.#guest = this.#start('b', 'join', room)
    return this.#guest
  }

  /** The paths that either side has told of, and takes now. */
  get paths(): readonly (Path | undefined)[] {
    return [this.#host, this.#guest].map((side) =>
      side?.events.filter((event): event is Path => event.event === 'path').at(-1),
    )
  }

  get isRelayed(): boolean {
    return this.paths.some((path) => path?.kind === 'relay')
  }

  /** Resolves when both sides send directly. */
  untilDirect(withinMs: number): Promise<void> {
    return this.#until('direct', (path) => path.kind !== 'relay', withinMs)
  }

  /** Resolves when both sides send through a relay. */
  untilRelayed(withinMs: number): Promise<void> {
    return this.#until('relayed', (path) => path.kind === 'relay', withinMs)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#bench.close()
    await this.lab.close()
  }

  async #until(wanted: string, isWanted: (path: Path) => boolean, withinMs: number): Promise<void> {
    const until = performance.now() + withinMs
    while (!this.paths.every((path) => path !== undefined && isWanted(path))) {
      if (performance.now() > until) throw new Error(`not ${wanted}, but ${JSON.stringify(this.paths)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  #start(side: 'a' | 'b', ...args: readonly string[]): Running {
    const settings = this.#servers.settings(this.#accesses[side]).flatMap((each) => ['--set', each])
    const common = ['--json', '--signal', 'mqtt', '--name', side, '--state', side, ...settings]
    return this.#bench.startUnder(['ip', 'netns', 'exec', this.lab.clients[side].name], ...common, ...args)
  }
}

function accessOf(access: NatType | Access): Access {
  return typeof access === 'string' ? { type: access } : access
}
