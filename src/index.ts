/**
 * gonet as a library: rooms without a terminal.
 *
 * Two calls open a room, `createRoom` as its host and `joinRoom` as a guest. Both resolve when the room is up.
 */

import type { AdapterDefinition } from './adapters/adapter-definition.js'
import { UsageError } from './core/errors.js'
import type { Logger } from './core/ports.js'
import { adapterSchemas } from './node/adapter-schemas.js'
import { type LoadedConfig, loadConfig, type PartialConfig } from './node/config/load-config.js'
import { createLogger } from './node/logger.js'
import { type OpenRoomOptions, openGuestRoom, openHostRoom } from './node/open-room.js'
import { checkOwnAdapter, type OwnAdapterDefinition } from './node/own-adapter.js'
import { State, stateFolder } from './node/state.js'
import type { Room } from './room/room.js'

export type { AdapterContext, AdapterDefinition } from './adapters/adapter-definition.js'
export type {
  AddressAllocator,
  AddressClaim,
  AddressRequest,
  HeldAddress,
} from './core/address-allocator.js'
export { type ErrorDetails, GonetError, RefusedError, SignallingError, UsageError } from './core/errors.js'
export type { AdmissionKind } from './core/messages.js'
export type { Subnet } from './core/overlay.js'
export type { Clock, Logger, Random } from './core/ports.js'
export type {
  AdapterState,
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from './core/signalling-adapter.js'
export type { TurnServerConfig } from './node/config/schema.js'
export type { OwnAdapterDefinition } from './node/own-adapter.js'
export type { NewInvite } from './room/admission/host-invites.js'
export type { Invite, InviteOptions } from './room/admission/invite-register.js'
export type { Ban } from './room/admission/register.js'
export type { MessageEvent, PathKind, RoomEvent } from './room/events.js'
export type { Named } from './room/find-member.js'
export type { Member, Ping, Room } from './room/room.js'
export type { AdministrativeAct, LeaveOptions } from './room/room-machine.js'

/** What a configuration file can say (docs/cli.md, Configuration), and what only a program can. */
export interface RoomOptions
  extends Pick<PartialConfig, 'name' | 'adapters' | 'transport' | 'network' | 'admission' | 'chat'> {
  /** Signalling backends: names, paths of modules with an adapter of your own, or such adapters themselves. */
  readonly signal?: readonly (string | OwnAdapterDefinition)[] | undefined
  /** A configuration file. Default: none, not even those that the command finds by itself. */
  readonly config?: string
  /** The folder of identities and history. Default: the command's, `$XDG_STATE_HOME/gonet`. */
  readonly state?: string
  /** How long the room may take to be up, in ms; Infinity for ever. Default 30,000. */
  readonly timeoutMs?: number
  /** Leaves the room when it is aborted. */
  readonly abort?: AbortSignal
  /** Default: silent. */
  readonly logger?: Logger
}

const TimeoutMs = 30_000

/**
 * Hosts a room.
 * @param options `room`: the id of a room that the state folder has, or `new`; by default the one hosted last,
 *   or a first one
 * @throws UsageError for wrong options; GonetError `no-backend`, `store-failed`; the abort's reason
 */
export async function createRoom(options: RoomOptions & { readonly room?: string } = {}): Promise<Room> {
  return ready(await openHostRoom(options.room, await settings(options)), options.abort)
}

/**
 * Joins a room.
 * @param reference a room id, a `gonet://` link, or the host's public key in base64
 * @throws UsageError for wrong options or references; GonetError `no-backend`, `room-not-found`, `no-path`,
 *   `store-failed`; RefusedError; the abort's reason
 */
export async function joinRoom(reference: string, options: RoomOptions = {}): Promise<Room> {
  return ready(await openGuestRoom(reference, await settings(options)), options.abort)
}

async function settings(options: RoomOptions): Promise<OpenRoomOptions> {
  const { state, timeoutMs = TimeoutMs, abort } = options
  abort?.throwIfAborted()
  if (!(timeoutMs > 0)) throw new UsageError('timeout-invalid', 'timeoutMs is a number above 0, or Infinity')
  const logger = options.logger ?? (await createLogger({ level: 'silent', format: 'text' }))
  return {
    loaded: await load(options),
    state: new State(stateFolder(state, process.env, process.cwd())),
    logger,
    timeoutMs: timeoutMs === Infinity ? undefined : timeoutMs,
    abort,
  }
}

/** A library takes nothing from the environment: what a program asks for is what it gets. */
async function load({ config, ...options }: RoomOptions): Promise<LoadedConfig> {
  const { name, adapters, transport, network, admission, chat } = options
  const { signal, ownAdapters } = await readSignal(options.signal)
  return loadConfig({
    file: config ?? false,
    flags: { name, signal, adapters, transport, network, admission, chat },
    environment: {},
    cwd: process.cwd(),
    adapterSchemas,
    ownAdapters,
  })
}

async function readSignal(
  entries: RoomOptions['signal'],
): Promise<{ signal: readonly string[] | undefined; ownAdapters: readonly AdapterDefinition[] }> {
  const ownAdapters: AdapterDefinition[] = []
  const signal: string[] = []
  for (const [index, entry] of (entries ?? []).entries()) {
    if (typeof entry === 'string') {
      signal.push(entry)
      continue
    }
    const definition = await checkOwnAdapter(entry, `signal[${index}]: `)
    ownAdapters.push(definition)
    signal.push(definition.name)
  }
  return { signal: entries && signal, ownAdapters }
}

async function ready(room: Room, abort: AbortSignal | undefined): Promise<Room> {
  try {
    await room.ready
  } catch (error) {
    await room.leave()
    abort?.throwIfAborted()
    throw error
  }
  return room
}
