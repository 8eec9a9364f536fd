// For bundles: etcd's protocol as the functions that write and read its messages. The packages that etcd3 uses make them
// of its .proto files in every process anew, which takes longer than a whole join.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** Those that the adapter calls. */
const Services = ['KV', 'Lease', 'Watch', 'Auth']
/** As etcd3 has it. */
const Reading = '{ longs: String, enums: String, defaults: true, oneofs: true }'

export const etcdCodecs = {
  name: 'etcd-codecs',
  setup({ onLoad }) {
    onLoad({ filter: /\/etcd3\/lib\/connection-pool\.js$/ }, ({ path }) => {
      const loading =
        /const proto_loader_1 = require\("@grpc\/proto-loader"\);([^]*)\(0, proto_loader_1\.loadSync\)\(`[^`]*`, \{[^}]*\}\)/
      const source = readFileSync(path, 'utf8')
      const contents = source.replace(loading, (_, between) => `${between}(() => {${definitionFor(path)}})()`)
      if (contents.includes('proto_loader')) throw new Error('etcd3 loads its protocol in another way')
      return { contents }
    })
  },
}

/** @returns the body of a function that returns what the loader of protocols would, for gRPC; it needs `require` */
export function definitionFor(user) {
  const library = createRequire(createRequire(user).resolve('@grpc/proto-loader'))
  const { Root } = library('protobufjs')
  const root = new Root().loadSync(join(user, '..', '..', 'proto', 'rpc.proto'), { keepCase: true })
  root.resolveAll()
  const methods = Services.flatMap((name) => root.lookupService(`etcdserverpb.${name}`).methodsArray)
  const types = new Set()
  for (const method of methods) {
    for (const type of [method.resolvedRequestType, method.resolvedResponseType]) gather(type, types)
  }
  const all = Array.from(types)
  const at = (type) => `all[${all.indexOf(type)}]`
  const codecs = all.map((type) => `Object.assign(${at(type)}, ${codecOf(type, at, library)})`)
  const services = Services.map((name) => {
    const definitions = root.lookupService(`etcdserverpb.${name}`).methodsArray.map((method) => {
      const { name: called, requestStream = false, responseStream = false } = method
      return `${called}: {
        path: '/etcdserverpb.${name}/${called}', originalName: '${called[0].toLowerCase()}${called.slice(1)}',
        requestStream: ${requestStream}, responseStream: ${responseStream},
        requestSerialize: writer(${at(method.resolvedRequestType)}),
        responseDeserialize: reader(${at(method.resolvedResponseType)}),
      }`
    })
    return `'etcdserverpb.${name}': { ${definitions.join()} }`
  })
  return `
    const { Reader, Writer, util } = require(${JSON.stringify(library.resolve('protobufjs/minimal.js'))})
    const all = Array.from({ length: ${all.length} }, () => ({}))
    ${codecs.join('\n')}
    const writer = (type) => (value) => type.encode(type.fromObject(value)).finish()
    const reader = (type) => (bytes) => type.toObject(type.decode(bytes), ${Reading})
    return { ${services.join()} }`
}

/** A type, and all that its fields are of. */
function gather(type, types) {
  if (types.has(type)) return
  types.add(type)
  for (const { resolvedType } of type.fieldsArray ?? [])
    if (resolvedType !== null) gather(resolvedType, types)
}

/** The functions that protobufjs generates for a type, which name the types of its fields by `types`. */
function codecOf(type, at, library) {
  const { Enum, Type } = library('protobufjs')
  if (type instanceof Enum) {
    return JSON.stringify({ values: type.values, valuesById: type.valuesById })
  }
  const generated = {
    ctor: Type.generateConstructor(type),
    encode: library('protobufjs/src/encoder.js')(type),
    decode: library('protobufjs/src/decoder.js')(type),
    fromObject: library('protobufjs/src/converter.js').fromObject(type),
    toObject: library('protobufjs/src/converter.js').toObject(type),
  }
  const functions = Object.entries(generated).map(([name, source]) => `${name}: ${source}`)
  const fields = type.fieldsArray.map(({ resolvedType }) => (resolvedType === null ? null : at(resolvedType)))
  return `((types) => ({ ${functions.join()} }))([${fields.join()}])`
}
