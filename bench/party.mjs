// The processes of a room on this machine, with the library that is in dist/: its broker, its host, and many guests.
//   fork('bench/party.mjs', ['broker' | 'host' | 'guests']), then requests (bench/child.mjs)
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Aedes } from 'aedes'
import { createRoom, joinRoom } from '../dist/lib/index.js'
import { serveMqtt } from '../dist/lib/node/serve-mqtt.js'
import { Child, serve } from './child.mjs'

const file = fileURLToPath(import.meta.url)

export const startBroker = (options) => new Child(file, ['broker'], options)
export const startHost = (options) => new Child(file, ['host'], options)
export const startGuests = (options) => new Child(file, ['guests'], options)

if (process.argv[1] === file) ({ broker, host, guests })[process.argv[2]]()

/** gonet's own broker, looked into. */
function broker() {
  const published = { records: 0, bytes: 0 }
  let closedBytes = 0
  const connections = new Set()
  const bytesOf = ({ bytesRead, bytesWritten }) => bytesRead + bytesWritten
  const { createBroker } = Aedes
  Aedes.createBroker = async (options) => {
    const made = await createBroker.call(Aedes, options)
    made.on('publish', ({ topic, payload }, client) => {
      if (client === null) return
      published.records += 1
      published.bytes += topic.length + payload.length
    })
    made.on('client', ({ conn }) => {
      connections.add(conn)
      conn.once('close', () => {
        connections.delete(conn)
        closedBytes += bytesOf(conn)
      })
    })
    return made
  }
  serve({
    listen: async () => (await serveMqtt({ address: '127.0.0.1', port: 0 })).url,
    traffic: () => {
      const tcpBytes = Array.from(connections, bytesOf).reduce((sum, bytes) => sum + bytes, closedBytes)
      return { ...published, tcpBytes, connections: connections.size }
    },
  })
}

const roomOptions = (url, folder, name) => {
  const state = join(folder, name)
  mkdirSync(state, { recursive: true })
  return { name, state, signal: ['mqtt'], adapters: { mqtt: { url } }, timeoutMs: 60_000 }
}

function host() {
  let room
  /** What kind of path each member has. */
  const kinds = new Map()
  const readPaths = async ({ events }) => {
    for await (const event of events) if (event.event === 'path') kinds.set(event.member, event.kind)
  }
  const delays = monitorEventLoopDelay({ resolution: 1 })
  serve({
    watchLoop: () => {
      delays.reset()
      delays.enable()
    },
    /** For how long, in ms, nothing else could run since `watchLoop`, at the most. */
    loopBlockedMs: () => {
      delays.disable()
      return delays.max / 1e6
    },
    create: async ({ url, folder, admission }) => {
      room = await createRoom({ ...roomOptions(url, folder, 'host'), room: 'new', admission })
      void readPaths(room)
      return room.id
    },
    fill: ({ from, count }) => {
      for (let number = from; number < from + count; number++) room.send(`message ${number} to fill the log`)
    },
    relayed: () => Array.from(kinds.values()).filter((kind) => kind === 'relay').length,
    online: () => room.members.filter(({ online, host }) => online && !host).length,
    leave: () => room.leave(),
  })
}

function guests() {
  const rooms = new Map()
  serve({
    /** With `turn`, every second guest is relayed. */
    join: async ({ room, url, folder, names, admission, turn }) => {
      const startedAt = Date.now()
      const [joinedAt, failures] = [[], []]
      await Promise.all(
        names.map(async (name, index) => {
          try {
            const transport = turn && index % 2 === 1 ? { turn: [turn], policy: 'relay' } : undefined
            const joined = await joinRoom(room, { ...roomOptions(url, folder, name), admission, transport })
            joinedAt.push(Date.now())
            rooms.set(name, joined)
            void readAll(joined)
          } catch (error) {
            failures.push(`${name}: ${error.message}`)
          }
        }),
      )
      return { startedAt, joinedAt, failures }
    },
    say: ({ name, text }) => void rooms.get(name).send(text),
    leave: async ({ names = Array.from(rooms.keys()) }) => {
      await Promise.all(names.map((name) => rooms.get(name)?.leave()))
      for (const name of names) rooms.delete(name)
    },
  })
}

/** Unread events would be kept. */
async function readAll({ events }) {
  for await (const _event of events);
}
