/** What the command is built with instead of the library's codecs for etcd, against them. */
import { createRequire } from 'node:module'
import { compileFunction } from 'node:vm'
import { expect, it } from 'vitest'

interface Method {
  readonly path: string
  readonly originalName: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (value: unknown) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => unknown
}
interface LibraryMethod extends Method {
  readonly requestDeserialize: (bytes: Buffer) => unknown
  readonly responseSerialize: (value: unknown) => Buffer
}
type Definition<Of> = Record<string, Record<string, Of>>

const require = createRequire(import.meta.url)
const pool = require.resolve('etcd3/lib/connection-pool.js')

async function definitions(): Promise<[built: Definition<Method>, library: Definition<LibraryMethod>]> {
  const file = new URL('../../scripts/etcd-codecs.mjs', import.meta.url).href
  const { definitionFor } = (await import(file)) as { definitionFor: (user: string) => string }
  const load = compileFunction(definitionFor(pool), ['require']) as (
    require: NodeJS.Require,
  ) => Definition<Method>
  const { loadSync } = createRequire(pool)('@grpc/proto-loader') as {
    loadSync: (file: string, options: object) => Definition<LibraryMethod>
  }
  const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }
  return [load(require), loadSync(require.resolve('etcd3/proto/rpc.proto'), options)]
}

const pair = { key: Buffer.from([0, 255]), value: Buffer.from('value'), lease: '9007199254740993' }
const stored = { ...pair, create_revision: '1', mod_revision: 2, version: 3 }
const header = {
  cluster_id: '14841639068965178418',
  member_id: 2,
  revision: '9223372036854775807',
  raft_term: 4,
}
const Requests: readonly (readonly [service: string, method: string, value: unknown])[] = [
  ['KV', 'Range', { key: pair.key, range_end: Buffer.of(1), limit: 5, sort_order: 'DESCEND' }],
  ['KV', 'Put', { ...pair, prev_kv: true }],
  [
    'KV',
    'Txn',
    {
      compare: [{ result: 'EQUAL', target: 'CREATE', key: pair.key, create_revision: '0' }],
      success: [{ request_put: pair }],
      failure: [{ request_range: { key: pair.key } }, { request_delete_range: { key: pair.key } }],
    },
  ],
  ['Lease', 'LeaseGrant', { TTL: '60', ID: 0 }],
  ['Watch', 'Watch', { create_request: { key: pair.key, start_revision: '7', filters: ['NOPUT'] } }],
  ['Auth', 'Authenticate', { name: 'gonet', password: 'ü' }],
]
const Responses: readonly (readonly [service: string, method: string, value: unknown])[] = [
  ['KV', 'Range', { header, kvs: [stored, stored], more: true, count: '2' }],
  ['KV', 'Txn', { header, succeeded: true, responses: [{ response_range: { kvs: [stored] } }] }],
  ['Lease', 'LeaseKeepAlive', { header, ID: '12', TTL: '-1' }],
  ['Watch', 'Watch', { header, watch_id: '3', events: [{ type: 'DELETE', kv: stored, prev_kv: stored }] }],
]

it("etcd's codecs in the command do as the library's", async () => {
  const [built, library] = await definitions()
  for (const [service, methods] of Object.entries(built)) {
    expect(Object.keys(methods)).toEqual(Object.keys(library[service]!))
    for (const [name, method] of Object.entries(methods)) {
      const { path, originalName, requestStream, responseStream } = library[service]![name]!
      expect(method).toMatchObject({ path, originalName, requestStream, responseStream })
      const empty = Buffer.alloc(0)
      expect(method.responseDeserialize(empty)).toEqual(library[service]![name]!.responseDeserialize(empty))
    }
  }
  for (const [service, name, value] of Requests) {
    const theirs = library[`etcdserverpb.${service}`]![name]!
    const bytes = built[`etcdserverpb.${service}`]![name]!.requestSerialize(value)
    expect(bytes).toEqual(theirs.requestSerialize(value))
    expect(bytes.length).toBeGreaterThan(3)
  }
  for (const [service, name, value] of Responses) {
    const theirs = library[`etcdserverpb.${service}`]![name]!
    const bytes = theirs.responseSerialize(value)
    const read = built[`etcdserverpb.${service}`]![name]!.responseDeserialize(bytes)
    expect(read).toEqual(theirs.responseDeserialize(bytes))
    expect(read).toMatchObject({ header: { revision: '9223372036854775807' } })
  }
})
