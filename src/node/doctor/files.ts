/** The state folder and the configuration file: whether they can be used, and whether others can read secrets. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { GonetError } from '../../core/errors.js'
import type { LoadedConfig } from '../config/load-config.js'
import { FileStore, onDisk } from '../file-store.js'
import type { State } from '../state.js'
import { failed, type Row, thrown } from './row.js'

/** A file that comes and goes. */
const TrialName = `doctor-${process.pid}`

export function checkConfigFile({ file, warnings }: Pick<LoadedConfig, 'file' | 'warnings'>): Row {
  const what = 'configuration'
  const from = file === undefined ? 'no file: defaults and options only' : file
  if (warnings.length === 0) return { what, state: 'ok', detail: from }
  return { what, state: 'warn', detail: warnings.join('; ') }
}

/** Looks at the folder without making it, and at each identity in it. */
export function checkState(state: State): Row {
  const what = 'state folder'
  const { directory } = state
  try {
    if (!existsSync(directory)) return absent(what, directory)
    onDisk(`cannot read ${directory}`, () => accessSync(directory, constants.R_OK | constants.X_OK))
    const store = new FileStore(directory)
    store.write(TrialName, new Uint8Array())
    store.remove(TrialName)
    const hasGuest = state.readGuest() !== undefined
    const rooms = state.hostedRooms()
    for (const room of rooms) state.readRoom(room)
    const holds = `${hasGuest ? 'a guest identity' : 'no guest identity yet'}, ${count(rooms.length)}`
    const detail = `${directory} is writable; ${holds}`
    // What is secret in it has a mode of its own, and was looked at above.
    const isOpen = process.platform !== 'win32' && (statSync(directory).mode & 0o022) !== 0
    if (!isOpen) return { what, state: 'ok', detail }
    return {
      what,
      state: 'warn',
      detail: `${detail}; others can write to it`,
      advice: `chmod 700 ${directory}`,
    }
  } catch (error) {
    return thrownByDisk(what, error)
  }
}

function absent(what: string, directory: string): Row {
  let above = dirname(directory)
  while (!existsSync(above) && dirname(above) !== above) above = dirname(above)
  onDisk(`cannot make ${directory}`, () => accessSync(above, constants.W_OK | constants.X_OK))
  return { what, state: 'ok', detail: `${directory} is not there yet, and can be made` }
}

function thrownByDisk(what: string, error: unknown): Row {
  if (!(error instanceof GonetError) || error.code !== 'store-failed') return thrown(what, error)
  // Its message has the cause already.
  const advice = 'Free the disk, mend its rights, or use another folder with --state'
  return failed(what, new GonetError(error.code, error.message, { advice }))
}

function count(rooms: number): string {
  return rooms === 1 ? '1 hosted room' : `${rooms === 0 ? 'no' : rooms} hosted rooms`
}
