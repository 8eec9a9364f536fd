import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toBase64, utf8 } from '../../src/core/encoding.js'
import { GonetError, UsageError } from '../../src/core/errors.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { FileStore } from '../../src/node/file-store.js'
import { formatIdentity, parseIdentity } from '../../src/node/identity-file.js'
import { acquireLock } from '../../src/node/lock.js'
import { State, stateFolder } from '../../src/node/state.js'

const seed = Uint8Array.from({ length: 32 }, (_, index) => index)
const otherSeed = seed.map((byte) => byte ^ 0xff)
const room = defaultRoomId(nodeCrypto, nodeCrypto.signKeyPair(seed).publicKey)
const otherRoom = defaultRoomId(nodeCrypto, nodeCrypto.signKeyPair(otherSeed).publicKey)
const random = { bytes: (length: number): Uint8Array => seed.slice(0, length) }
const noRandom = {
  bytes: (): Uint8Array => {
    throw new Error('nothing new is to be made here')
  },
}

let folder: string
let state: State

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gonet-state-'))
  state = new State(join(folder, 'a', 'state'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function mode(path: string): number {
  return statSync(path).mode & 0o777
}

function thrown(action: () => unknown): GonetError {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(GonetError)
    return error as GonetError
  }
  throw new Error('nothing was thrown')
}

describe('stateFolder', () => {
  it('is --state, else the XDG state folder', () => {
    expect(stateFolder('s', {}, '/w')).toBe('/w/s')
    expect(stateFolder(undefined, { XDG_STATE_HOME: '/x', HOME: '/h' }, '/w')).toBe('/x/gonet')
    expect(stateFolder(undefined, { XDG_STATE_HOME: 'relative', HOME: '/h' }, '/w')).toBe(
      '/h/.local/state/gonet',
    )
    expect(stateFolder(undefined, { XDG_STATE_HOME: '', HOME: '/h' }, '/w')).toBe('/h/.local/state/gonet')
  })
})

describe('FileStore', () => {
  it('keeps values, in folders and files that nobody else can read', () => {
    const store = new FileStore(join(folder, 'new'))
    expect(store.read('a')).toBeUndefined()
    store.remove('a')
    expect(existsSync(join(folder, 'new'))).toBe(false)
    store.write('a', utf8('one'))
    store.write('a', utf8('two'))
    store.write('log/2.x', utf8(''))
    store.append('log/1', utf8('x'))
    store.append('log/1', utf8('y'))
    expect(store.read('a')).toEqual(utf8('two'))
    expect(store.read('log/1')).toEqual(utf8('xy'))
    expect(store.read('log/2.x')).toEqual(new Uint8Array())
    expect(mode(join(folder, 'new'))).toBe(0o700)
    expect(mode(join(folder, 'new', 'log'))).toBe(0o700)
    expect(mode(join(folder, 'new', 'a'))).toBe(0o600)
    expect(mode(join(folder, 'new', 'log', '1'))).toBe(0o600)
    expect(readdirSync(join(folder, 'new')).sort()).toEqual(['a', 'log'])
    store.remove('a')
    expect(store.read('a')).toBeUndefined()
  })

  it('overwrites what a crash left half written', () => {
    const store = new FileStore(folder)
    writeFileSync(join(folder, 'a~'), 'half of a long val')
    store.write('a', utf8('whole'))
    expect(store.read('a')).toEqual(utf8('whole'))
    expect(readdirSync(folder)).toEqual(['a'])
  })

  it.each(['', '../a', 'a/../b', '.', '/a', 'a//b', 'a/', 'a~', 'a b', 'a\0', 'a'.repeat(513)])(
    'refuses the name %j',
    (name) => {
      const store = new FileStore(folder)
      expect(() => store.write(name, seed)).toThrow(TypeError)
      expect(() => store.read(name)).toThrow(TypeError)
      expect(readdirSync(folder)).toEqual([])
    },
  )

  it('says in words what the disk did', () => {
    writeFileSync(join(folder, 'file'), '')
    const below = new FileStore(join(folder, 'file'))
    for (const action of [
      () => below.write('a', seed),
      () => below.append('a', seed),
      () => below.read('a'),
      () => below.remove('a'),
    ]) {
      const error = thrown(action)
      expect(error.code).toBe('store-failed')
      expect(error.message).toMatch(/: (a folder of its path is a file|something else is in its place)$/)
      expect(error.cause).toBeInstanceOf(Error)
    }
    mkdirSync(join(folder, 'd'))
    expect(thrown(() => new FileStore(folder).read('d')).message).toContain('it is a folder')
    expect(thrown(() => new FileStore(folder).write('d', seed)).code).toBe('store-failed')
    expect(readdirSync(folder).sort()).toEqual(['d', 'file'])
  })

  it.skipIf(!existsSync('/dev/full'))('reports a full disk', () => {
    symlinkSync('/dev/full', join(folder, 'full'))
    const error = thrown(() => new FileStore(folder).append('full', seed))
    expect(error.code).toBe('store-failed')
    expect(error.message).toBe(`cannot write ${join(folder, 'full')}: the disk is full`)
  })
})

describe('identities', () => {
  it("makes the guest's on first use, for its owner only", () => {
    expect(state.readGuest()).toBeUndefined()
    expect(existsSync(state.directory)).toBe(false)
    expect(state.loadGuest(random)).toEqual(seed)
    const path = join(state.directory, 'identity')
    expect(mode(path)).toBe(0o600)
    expect(mode(state.directory)).toBe(0o700)
    expect(readdirSync(state.directory)).toEqual(['identity'])
    expect(readFileSync(path, 'utf8')).toBe(
      '# Whoever has this file can act as its owner. Keep it to yourself.\n' +
        `version: 1\nkind: "gonet identity"\nseed: "${toBase64(seed)}"\n`,
    )
    expect(state.loadGuest(noRandom)).toEqual(seed)
    expect(state.readGuest()).toEqual(seed)
  })

  it('keeps one for every room', () => {
    expect(state.hostedRooms()).toEqual([])
    expect(state.readRoom(room)).toBeUndefined()
    state.createRoom(room, seed)
    state.createRoom(room, seed)
    state.createRoom(otherRoom, otherSeed)
    expect(state.hostedRooms()).toEqual([room, otherRoom].sort())
    expect(state.readRoom(room)).toEqual(seed)
    expect(mode(join(state.directory, 'rooms', room, 'identity'))).toBe(0o600)
    expect(mode(join(state.directory, 'rooms', room))).toBe(0o700)
    expect(thrown(() => state.createRoom(room, otherSeed)).code).toBe('identity-exists')
    expect(state.readRoom(room)).toEqual(seed)
    expect(() => state.readRoom('../..')).toThrow(TypeError)
  })

  it('lists no folder that is not a hosted room', () => {
    state.lockRoom(room).release()
    mkdirSync(join(state.directory, 'rooms', 'else'))
    writeFileSync(join(state.directory, 'rooms', 'abcdef'), '')
    expect(state.hostedRooms()).toEqual([])
  })

  it('remembers the last hosted room, while it is there', () => {
    expect(state.lastRoom()).toBeUndefined()
    state.rememberLastRoom(room)
    expect(state.lastRoom()).toBeUndefined()
    state.createRoom(room, seed)
    expect(state.lastRoom()).toBe(room)
    writeFileSync(join(state.directory, 'last-room'), '../../etc\n')
    expect(state.lastRoom()).toBeUndefined()
  })

  it.each([0o640, 0o604, 0o620, 0o644, 0o666, 0o611])('refuses one of mode %i', (bits) => {
    state.loadGuest(random)
    const path = join(state.directory, 'identity')
    chmodSync(path, bits)
    const error = thrown(() => state.loadGuest(noRandom))
    expect(error).toBeInstanceOf(UsageError)
    expect(error.code).toBe('identity-exposed')
    expect(error.message).toContain(bits.toString(8))
    expect(error.advice).toContain(`chmod 600 ${path}`)
    chmodSync(path, 0o400)
    expect(state.loadGuest(noRandom)).toEqual(seed)
  })

  const good = formatIdentity({ seed, room: undefined })
  it.each([
    ['empty', ''],
    ['truncated', good.slice(0, -6)],
    ['without a seed', 'version: 1\nkind: "gonet identity"\n'],
    ['of another kind', good.replace('gonet identity', 'other')],
    ['of another version', good.replace('version: 1', 'version: 2')],
    ['with a short seed', good.replace(/seed: .*/, 'seed: "AAAA"')],
    ['with a seed of loose base64', good.replace(/seed: "(.*)8="/, 'seed: "$19="')],
    ['with an unknown key', `${good}extra: 1\n`],
    ['with a key twice', `${good}version: 1\n`],
    ['with a bad room', `${good}room: "../../../x"\n`],
    ['that is not text', Buffer.from([0xff, 0xfe, 0])],
    ['too long', `${good}${'#'.repeat(5000)}\n`],
  ])('refuses one %s, and leaves it alone', (_, content) => {
    mkdirSync(state.directory, { recursive: true })
    const path = join(state.directory, 'identity')
    writeFileSync(path, content, { mode: 0o600 })
    for (const action of [
      () => state.loadGuest(noRandom),
      () => state.importIdentity(good, 'x', nodeCrypto),
    ]) {
      const error = thrown(action)
      expect(error).toBeInstanceOf(UsageError)
      expect(error.code).toBe('identity-invalid')
      expect(error.message).toContain(path)
      expect(error.message).not.toContain('\n')
      expect(error.message).not.toContain(toBase64(seed).slice(0, 20))
    }
    expect(readFileSync(path)).toEqual(Buffer.from(content))
  })

  it('refuses what is not a regular file', () => {
    mkdirSync(join(state.directory, 'identity'), { recursive: true })
    expect(thrown(() => state.loadGuest(noRandom)).message).toContain('not a regular file')
    rmSync(join(state.directory, 'identity'), { recursive: true })
    writeFileSync(join(folder, 'elsewhere'), good, { mode: 0o600 })
    symlinkSync(join(folder, 'elsewhere'), join(state.directory, 'identity'))
    expect(thrown(() => state.loadGuest(noRandom)).message).toContain('not a regular file')
    rmSync(join(state.directory, 'identity'))
    expect(spawnSync('mkfifo', ['-m', '600', join(state.directory, 'identity')]).status).toBe(0)
    expect(thrown(() => state.loadGuest(noRandom)).message).toContain('not a regular file')
  })

  it('refuses one that belongs elsewhere', () => {
    state.createRoom(room, seed)
    const text = readFileSync(join(state.directory, 'rooms', room, 'identity'))
    writeFileSync(join(state.directory, 'identity'), text, { mode: 0o600 })
    expect(thrown(() => state.loadGuest(noRandom)).message).toContain(`it is room ${room}'s`)
  })

  it('exports and imports', () => {
    expect(thrown(() => state.exportIdentity(undefined)).code).toBe('identity-missing')
    expect(thrown(() => state.exportIdentity(room)).code).toBe('identity-missing')
    state.loadGuest(random)
    state.createRoom(otherRoom, otherSeed)
    const guest = state.exportIdentity(undefined)
    const hosted = state.exportIdentity(otherRoom)
    const other = new State(join(folder, 'other'))
    expect(other.importIdentity(guest, 'file', nodeCrypto)).toEqual({ room: undefined })
    expect(other.importIdentity(hosted.replaceAll('\n', '\r\n'), 'file', nodeCrypto)).toEqual({
      room: otherRoom,
    })
    expect(other.importIdentity(guest, 'file', nodeCrypto)).toEqual({ room: undefined })
    expect(other.readGuest()).toEqual(seed)
    expect(other.readRoom(otherRoom)).toEqual(otherSeed)
    expect(mode(join(folder, 'other', 'rooms', otherRoom, 'identity'))).toBe(0o600)
    expect(other.exportIdentity(otherRoom)).toBe(hosted)

    const stranger = formatIdentity({ seed: otherSeed, room: undefined })
    expect(thrown(() => other.importIdentity(stranger, 'file', nodeCrypto)).code).toBe('identity-exists')
    expect(other.readGuest()).toEqual(seed)
    const forged = formatIdentity({ seed, room: otherRoom })
    const error = thrown(() => other.importIdentity(forged, 'file', nodeCrypto))
    expect(error.code).toBe('identity-invalid')
    expect(error.message).toContain(`cannot host room ${otherRoom}`)
  })

  it('reads what people may have made of the text', () => {
    const text = `\n# mine\nversion: 1\r\nkind: "gonet identity"  \nseed: ${toBase64(seed)}\nroom: abcdef\n\n`
    expect(parseIdentity(text, 'x')).toEqual({ seed, room: 'abcdef' })
  })

  it('keeps apart what it keeps for rooms', () => {
    state.roomStore(room).write('identity', utf8('host'))
    state.guestStore(room).write('identity', utf8('guest'))
    expect(state.readRoom(room)).toBeUndefined()
    expect(state.roomStore(room).read('identity')).toEqual(utf8('host'))
    expect(state.guestStore(room).read('identity')).toEqual(utf8('guest'))
    expect(state.roomStore(otherRoom).read('identity')).toBeUndefined()
  })
})

describe('locks', () => {
  const path = (): string => join(folder, 'lock')

  it('let one in, and name it to the next', () => {
    const lock = state.lockRoom(room)
    const error = thrown(() => state.lockRoom(room))
    expect(error).toBeInstanceOf(UsageError)
    expect(error.code).toBe('locked')
    expect(error.message).toContain(`process ${process.pid}`)
    const guest = state.lockGuest(room)
    state.lockRoom(otherRoom).release()
    lock.release()
    lock.release()
    const again = state.lockRoom(room)
    lock.release()
    expect(thrown(() => state.lockRoom(room)).code).toBe('locked')
    again.release()
    guest.release()
    expect(readdirSync(join(state.directory, 'rooms', room))).toEqual([])
    expect(readdirSync(join(state.directory, 'joined', room))).toEqual([])
  })

  it('are taken over from a process that is gone', () => {
    const { pid } = spawnSync('true')
    writeFileSync(path(), `${pid} 1 0123456789abcdef\n`)
    const lock = acquireLock(path(), 'x')
    expect(readFileSync(path(), 'utf8')).toMatch(new RegExp(`^${process.pid} `))
    expect(readdirSync(folder)).toEqual(['lock'])
    lock.release()
    expect(readdirSync(folder)).toEqual([])
  })

  it.skipIf(!existsSync('/proc/self/stat'))('are taken over from a process whose id another has now', () => {
    writeFileSync(path(), `${process.pid} 1 0123456789abcdef\n`)
    acquireLock(path(), 'x').release()
    expect(readdirSync(folder)).toEqual([])
  })

  it.each(['', 'garbage', '\0'.repeat(40)])('are taken over where a crash left %j', (content) => {
    writeFileSync(path(), content)
    acquireLock(path(), 'x').release()
    expect(readdirSync(folder)).toEqual([])
  })

  it('are taken over where somebody died while taking over', () => {
    const { pid } = spawnSync('true')
    writeFileSync(path(), `${pid} 1 0123456789abcdef\n`)
    writeFileSync(`${path()}~0123456789abcdef`, `${pid} 2 fedcba9876543210\n`)
    acquireLock(path(), 'x').release()
    expect(readdirSync(folder)).toEqual([])
  })

  it('wait for nobody who is taking over now', async () => {
    const other = spawn('sleep', ['60'])
    const { pid } = other
    const dead = spawnSync('true').pid
    writeFileSync(path(), `${dead} 1 0123456789abcdef\n`)
    writeFileSync(`${path()}~0123456789abcdef`, `${pid ?? 0} 0 fedcba9876543210\n`)
    expect(thrown(() => acquireLock(path(), 'x')).message).toContain(`process ${pid ?? 0}`)
    other.kill()
    await once(other, 'exit')
    acquireLock(path(), 'x').release()
  })

  it('let exactly one of many in that race for a stale one', async () => {
    const dead = spawnSync('true').pid
    const rounds = 40
    for (let round = 0; round < rounds; round++) {
      writeFileSync(`${path()}-${round}`, `${dead} 1 0123456789abcdef\n`)
    }
    const script = join(folder, 'race.mjs')
    await build({
      stdin: {
        contents: `
          import { acquireLock } from './src/node/lock.js'
          const [base, start] = process.argv.slice(2)
          for (let round = 0; round < ${rounds}; round++) {
            while (Date.now() < Number(start) + round * 5);
            try {
              acquireLock(base + '-' + round, 'x')
              console.log(round)
            } catch (error) {
              if (error.code !== 'locked') throw error
            }
          }
          process.stdin.resume()
          process.stdin.on('end', () => {})
          console.log('done')`,
        resolveDir: process.cwd(),
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
      logLevel: 'error',
    })
    const start = String(Date.now() + 700)
    const racers = Array.from({ length: 5 }, () => {
      const racer = spawn(process.execPath, [script, path(), start], { stdio: ['pipe', 'pipe', 'inherit'] })
      let output = ''
      const done = new Promise<void>((resolve) => {
        racer.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString()
          if (output.includes('done')) resolve()
        })
        racer.on('exit', () => resolve())
      })
      return { racer, done, exited: once(racer, 'exit'), wins: () => output.match(/^\d+$/gm) ?? [] }
    })
    // Nobody leaves before all have tried: a lock that was free again would hide two holders.
    await Promise.all(racers.map(({ done }) => done))
    for (const { racer } of racers) racer.stdin.end()
    const codes = await Promise.all(racers.map(({ exited }) => exited))
    expect(codes.map(([code]: unknown[]) => code)).toEqual([0, 0, 0, 0, 0])
    const wins = racers.flatMap(({ wins }) => wins()).map(Number)
    expect(wins.sort((a, b) => a - b)).toEqual(Array.from({ length: rounds }, (_, round) => round))
  })

  it('give up where something else is in their place', () => {
    symlinkSync(join(folder, 'nowhere'), path())
    expect(thrown(() => acquireLock(path(), 'x')).code).toBe('locked')
    rmSync(path())
    mkdirSync(path())
    expect(thrown(() => acquireLock(path(), 'x')).code).toBe('store-failed')
  })
})
