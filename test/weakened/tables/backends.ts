/** Against others in the store where host and guests meet: real servers, and neighbours who may write there too. */
import type { Weakening } from '../weakening.js'

const dht = 'contract/dht-hostile.test.ts'
const opendht = 'contract/opendht-neighbours.test.ts'
const update = 'contract/dns-update.test.ts'
const serve = 'contract/dns-serve.test.ts'
const zone = 'unit/dns-server.test.ts'
const mdns = 'contract/mdns-neighbours.test.ts'
const etcd = 'contract/etcd-neighbours.test.ts'

export const backends: readonly Weakening[] = [
  {
    rule: 'a host of the DHT that says nothing is left',
    source: 'adapters/dht/channel.ts',
    defence: 'this.#cancelLimit = this.#limit(GreetingLimitMs)',
    weakened: '',
    attack: [
      dht,
      'dht among hostile neighbours > false hosts who were there first, and say nothing, make room for the true one',
    ],
  },
  {
    rule: 'only who has stored a value of OpenDHT takes it back',
    source: 'adapters/opendht/known-values.ts',
    defence: "value.kind !== 'record' || this.#revoked.has(hex(value.commitment))",
    weakened: "value.kind !== 'record' || this.#revoked.size > 0",
    attack: [
      opendht,
      'neighbours in a DHT > cannot replace or retract what is not theirs, nor hide it in a flood',
    ],
  },
  {
    rule: 'a signature of the DNS server is checked',
    source: 'adapters/dns/tsig.ts',
    defence:
      "if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) throw wrong('wrongly')",
    weakened: '',
    attack: [
      update,
      'a zone that takes updates > believes nobody without the key who answers in the name of the server',
    ],
  },
  {
    rule: 'strangers put joins only into the zone of a host, and only into its room',
    source: 'adapters/dns/local-store.ts',
    defence: "takes: ({ topic, box }) => box === 'join' && this.#topics.has(topic)",
    weakened: 'takes: () => true',
    attack: [serve, 'a host that serves its zone > takes nothing but joins into its own rooms'],
  },
  {
    rule: 'the server of a zone answers for that zone',
    source: 'adapters/dns/zone-answers.ts',
    // Without the dot between.
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a piece of the program
    defence: 'name.endsWith(`.${zone}`)',
    weakened: 'name.endsWith(zone)',
    attack: [zone, 'the server of a zone > answers for nothing else, and transfers nothing'],
  },
  {
    rule: 'the server of a zone answers no answer',
    source: 'adapters/dns/zone-answers.ts',
    defence: 'if (request.length < HeaderBytes || (viewOf(request).getUint16(2) & Flag.QR) !== 0)',
    weakened: 'if (request.length < HeaderBytes)',
    attack: [zone, 'the server of a zone > never answers an answer, and takes no rubbish amiss'],
  },
  {
    rule: 'an address that nobody has proved gets so many bytes',
    source: 'adapters/dns/response-budget.ts',
    defence: ' && budget.bytes.take(answerBytes, now)',
    weakened: '',
    attack: [
      zone,
      'what goes to an address that nobody has proved > is bounded in bytes: beyond, only what makes an honest resolver come over TCP',
    ],
  },
  {
    rule: 'mDNS answers come from its port',
    source: 'adapters/mdns/link.ts',
    defence: 'if (port !== Port) return',
    weakened: '',
    attack: [
      mdns,
      'a neighbour > that sends from another port, or in loud case, is taken as RFC 6762 has it',
    ],
  },
  {
    rule: 'a record of mDNS is whole',
    source: 'adapters/mdns/reassembly.ts',
    defence: ' && digestOf(bytes) === digest',
    weakened: '',
    attack: [mdns, 'a neighbour > that sends rubbish is not heard'],
  },
  {
    rule: 'a beacon in etcd is put back',
    source: 'adapters/etcd/own-record.ts',
    defence: 'if (this.#cancelRestore !== undefined) return',
    weakened: 'return',
    attack: [etcd, 'hostile neighbours > erase and replace the beacon, and it comes back'],
  },
  {
    rule: 'a record in etcd has a size',
    source: 'adapters/etcd/watches.ts',
    defence: ' || value.length > etcdTraits.maxRecordBytes',
    weakened: '',
    attack: [
      etcd,
      'hostile neighbours > fill the box with records of every kind, and honest ones are still seen',
    ],
  },
]
