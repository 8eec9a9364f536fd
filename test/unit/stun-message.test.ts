import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import {
  errorCodeAttribute,
  priorityAttribute,
  readErrorCode,
  readMappedAddress,
  readUnknownAttributes,
  readUsername,
  readXorMappedAddress,
  softwareAttribute,
  unknownAttributesAttribute,
  usernameAttribute,
  xorMappedAddressAttribute,
} from '../../src/transports/stun/attributes.js'
import { answerBinding, readBindingSuccess } from '../../src/transports/stun/binding.js'
import { AttributeType, Binding } from '../../src/transports/stun/constants.js'
import { crc32 } from '../../src/transports/stun/crc32.js'
import {
  type Attribute,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type Message,
  type MessageClass,
  verifyIntegrity,
} from '../../src/transports/stun/message.js'
import { SeededRandom } from '../sim/seeded-random.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** RFC 5769: the password and the transaction id of sections 2.1 to 2.3. */
const Password = text('VOkJxbRl1RmTxUk/WvJxBt')
const TransactionId = hex('b7e7a701 bc34d686 fa87dfae')

/** RFC 5769 section 2.1. */
const SampleRequest = hex(`
  00010058 2112a442 b7e7a701 bc34d686 fa87dfae
  80220010 5354554e 20746573 7420636c 69656e74
  00240004 6e0001ff
  80290008 932ff9b1 51263b36
  00060009 6576746a 3a683676 59202020
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
  80280004 e57a3bcf`)
/** RFC 5769 section 2.2. */
const SampleIpv4Response = hex(`
  0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200008 0001a147 e112a643
  00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
  80280004 c07d4c96`)
/** RFC 5769 section 2.3. */
const SampleIpv6Response = hex(`
  01010048 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
  00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
  80280004 c8fb0b4c`)

const samples: readonly (readonly [string, Uint8Array])[] = [
  ['2.1', SampleRequest],
  ['2.2', SampleIpv4Response],
  ['2.3', SampleIpv6Response],
]

const code = (value: string): unknown => expect.objectContaining({ name: 'DecodeError', code: value })
const integrity = { crypto: nodeCrypto, key: Password }
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset)

function request(attributes: readonly Attribute[] = []): Message {
  return { class: 'request', method: Binding, transactionId: TransactionId, attributes }
}

function hasFingerprint(bytes: Uint8Array): boolean {
  try {
    return decodeMessage(bytes).fingerprint
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return false
  }
}

/** Appends an attribute, as one who does not know the key could. */
function append(bytes: Uint8Array, type: number, value: Uint8Array): Uint8Array {
  const longer = new Uint8Array(bytes.length + 4 + Math.ceil(value.length / 4) * 4)
  longer.set(bytes)
  const view = viewOf(longer)
  view.setUint16(2, longer.length - 20)
  view.setUint16(bytes.length, type)
  view.setUint16(bytes.length + 2, value.length)
  longer.set(value, bytes.length + 4)
  return longer
}

describe('the samples of RFC 5769', () => {
  it.each(samples)('%s has the right integrity and fingerprint', (_section, bytes) => {
    const message = decodeMessage(bytes)
    expect(message.fingerprint).toBe(true)
    expect(message.transactionId).toEqual(TransactionId)
    expect(verifyIntegrity(message, nodeCrypto, Password)).toBe(true)
    expect(verifyIntegrity(message, nodeCrypto, text('VOkJxbRl1RmTxUk/WvJxBu'))).toBe(false)
  })

  it.each(samples)('%s does not keep its fingerprint when any bit of it is changed', (_section, bytes) => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      // An attribute of another type or length may hide the fingerprint: then it is not there.
      expect(hasFingerprint(changed), `bit ${bit}`).toBe(false)
    }
  })

  it('2.1 is a binding request with these attributes', () => {
    const message = decodeMessage(SampleRequest)
    expect(message).toMatchObject({ class: 'request', method: Binding })
    expect(message.attributes).toEqual([
      softwareAttribute('STUN test client'),
      priorityAttribute(0x6e0001ff),
      { type: 0x8029, value: hex('932ff9b151263b36') },
      usernameAttribute('evtj:h6vY'),
    ])
    expect(readUsername(findAttribute(message, AttributeType.Username)!)).toBe('evtj:h6vY')
  })

  it.each([
    ['2.2', SampleIpv4Response, '192.0.2.1'],
    ['2.3', SampleIpv6Response, '2001:db8:1234:5678:11:2233:4455:6677'],
  ])('%s is a success response that names %s', (_section, bytes, address) => {
    const message = decodeMessage(bytes)
    expect(message).toMatchObject({ class: 'success', method: Binding })
    expect(message.attributes).toEqual([
      softwareAttribute('test vector'),
      xorMappedAddressAttribute({ address, port: 32_853 }, TransactionId),
    ])
    expect(readBindingSuccess(message)).toEqual({ address, port: 32_853 })
  })

  it.each(samples)('%s is what is written, but for the padding, which is zero', (_section, bytes) => {
    const message = decodeMessage(bytes)
    const integrityAt = bytes.length - 32
    const written = encodeMessage(message, { integrity, fingerprint: true })
    const spaces = bytes.subarray(0, integrityAt)
    const zeros = written.subarray(0, integrityAt)
    const padding = [...spaces.keys()].filter((at) => spaces[at] !== zeros[at])
    expect(padding.map((at) => [spaces[at], zeros[at]])).toEqual(padding.map(() => [0x20, 0]))
    expect(padding).toHaveLength(bytes === SampleRequest ? 3 : 1)
    // With their padding in its place, integrity and fingerprint are theirs, byte for byte.
    const covered = spaces.slice()
    viewOf(covered).setUint16(2, integrityAt + 24 - 20)
    expect(decodeMessage(bytes).integrity?.covered).toEqual(covered)
    const mac = Uint8Array.from(nodeCrypto.hmacSha1(Password, covered))
    expect(mac).toEqual(bytes.slice(integrityAt + 4, integrityAt + 24))
    expect((crc32(bytes.subarray(0, -8)) ^ 0x5354554e) >>> 0).toBe(viewOf(bytes).getUint32(bytes.length - 4))
    const back = decodeMessage(written)
    expect(back.attributes).toEqual(message.attributes)
    expect(verifyIntegrity(back, nodeCrypto, Password)).toBe(true)
  })
})

describe('a STUN message', () => {
  it.each(samples)('of %s is refused when cut at any length, and when longer', (_section, bytes) => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeMessage(bytes.subarray(0, length)), `${length} bytes`).toThrow(code('stun-header'))
    }
    for (const more of [1, 2, 3, 4, 8]) {
      expect(() => decodeMessage(Buffer.concat([bytes, new Uint8Array(more)]))).toThrow(code('stun-header'))
    }
  })

  it('is refused when cut at any length with the length field made to fit', () => {
    for (let length = 20; length < SampleRequest.length; length += 4) {
      const cut = SampleRequest.slice(0, length)
      viewOf(cut).setUint16(2, length - 20)
      // What remains is well formed only where it ends between two attributes.
      if ([20, 40, 48, 60, 76, 100].includes(length)) {
        const message = decodeMessage(cut)
        expect(message.fingerprint).toBe(false)
        expect(verifyIntegrity(message, nodeCrypto, Password)).toBe(length === 100)
      } else expect(() => decodeMessage(cut), `${length} bytes`).toThrow(code('stun-attributes'))
    }
  })

  it('is refused with the top bits set, or with another cookie', () => {
    for (const first of [0x40, 0x80, 0xc0]) {
      const bytes = encodeMessage(request())
      bytes[0]! |= first
      expect(() => decodeMessage(bytes)).toThrow(code('stun-header'))
    }
    const bytes = encodeMessage(request())
    bytes[7]! ^= 1
    expect(() => decodeMessage(bytes)).toThrow(code('stun-header'))
  })

  it('is refused with an attribute that is longer than the message', () => {
    for (const length of [5, 8, 0xfffc, 0xffff]) {
      const bytes = encodeMessage(request([usernameAttribute('name')]))
      viewOf(bytes).setUint16(22, length)
      expect(() => decodeMessage(bytes)).toThrow(code('stun-attributes'))
    }
  })

  it.each([0, 16, 19, 21, 32])('is refused with a MESSAGE-INTEGRITY of %i bytes', (length) => {
    const bytes = append(encodeMessage(request()), AttributeType.MessageIntegrity, new Uint8Array(length))
    expect(() => decodeMessage(bytes)).toThrow(code('stun-attributes'))
  })

  it.each([0, 3, 5, 8])('is refused with a FINGERPRINT of %i bytes', (length) => {
    const bytes = append(encodeMessage(request()), AttributeType.Fingerprint, new Uint8Array(length))
    expect(() => decodeMessage(bytes)).toThrow(code('stun-attributes'))
  })

  it('is refused with a wrong FINGERPRINT, and with anything after it', () => {
    const bytes = encodeMessage(request(), { integrity, fingerprint: true })
    const wrong = bytes.slice()
    wrong[wrong.length - 1]! ^= 1
    expect(() => decodeMessage(wrong)).toThrow(code('stun-fingerprint'))
    expect(() => decodeMessage(append(bytes, AttributeType.Software, text('late')))).toThrow(
      code('stun-attributes'),
    )
  })

  it('is not read beyond MESSAGE-INTEGRITY, which stays right', () => {
    const bytes = encodeMessage(request([usernameAttribute('a:b')]), { integrity })
    const longer = append(bytes, AttributeType.Priority, new Uint8Array(4))
    const twice = append(longer, AttributeType.MessageIntegrity, new Uint8Array(20))
    // Not even the length of a second MESSAGE-INTEGRITY.
    for (const each of [longer, twice, append(twice, AttributeType.MessageIntegrity, text('short'))]) {
      const message = decodeMessage(each)
      expect(message.attributes).toEqual([usernameAttribute('a:b')])
      expect(verifyIntegrity(message, nodeCrypto, Password)).toBe(true)
    }
  })

  it('without MESSAGE-INTEGRITY is authentic under no key', () => {
    const message = decodeMessage(encodeMessage(request(), { fingerprint: true }))
    expect(message.integrity).toBeUndefined()
    expect(verifyIntegrity(message, nodeCrypto, new Uint8Array())).toBe(false)
  })

  it('has at most 32 attributes', () => {
    const attributes = Array.from({ length: 32 }, () => softwareAttribute(''))
    expect(decodeMessage(encodeMessage(request(attributes))).attributes).toHaveLength(32)
    const tooMany = encodeMessage(request([...attributes, softwareAttribute('')]))
    expect(() => decodeMessage(tooMany)).toThrow(code('stun-attributes'))
  })

  it('leaves the bytes as they are, also those of a Buffer', () => {
    const bytes = Buffer.from(SampleRequest)
    for (let round = 0; round < 2; round++) {
      expect(verifyIntegrity(decodeMessage(bytes), nodeCrypto, Password)).toBe(true)
    }
    expect(Uint8Array.from(bytes)).toEqual(SampleRequest)
  })

  it('comes out of a larger buffer as out of its own', () => {
    const larger = Buffer.concat([Buffer.alloc(7, 0xff), SampleIpv6Response, Buffer.alloc(5, 0xff)])
    const message = decodeMessage(larger.subarray(7, 7 + SampleIpv6Response.length))
    expect(readBindingSuccess(message)?.address).toBe('2001:db8:1234:5678:11:2233:4455:6677')
  })

  it('of every class and method comes back as it was', () => {
    const classes: readonly MessageClass[] = ['request', 'indication', 'success', 'error']
    for (const each of classes) {
      for (let bit = 1; bit <= 0x800; bit <<= 1) {
        for (const method of [bit, 0xfff ^ bit, 0xfff]) {
          const bytes = encodeMessage({ ...request(), class: each, method })
          expect(decodeMessage(bytes)).toMatchObject({ class: each, method })
        }
      }
    }
    // RFC 8489 figure 3 by two known examples: a Binding error, an Allocate (0x003) success response.
    expect([...encodeMessage({ ...request(), class: 'error' }).subarray(0, 2)]).toEqual([0x01, 0x11])
    const allocate = encodeMessage({ ...request(), class: 'success', method: 3 })
    expect([...allocate.subarray(0, 2)]).toEqual([0x01, 0x03])
  })

  it('comes back with values of every length, padded with zeros', () => {
    for (let length = 0; length < 9; length++) {
      const value = new Uint8Array(length).fill(0xee)
      const bytes = encodeMessage(request([{ type: 0x8123, value }, softwareAttribute('after')]))
      expect(bytes.length % 4).toBe(0)
      expect(decodeMessage(bytes).attributes).toEqual([{ type: 0x8123, value }, softwareAttribute('after')])
    }
  })

  it('has the first of two attributes of a type', () => {
    const message = decodeMessage(encodeMessage(request([usernameAttribute('1'), usernameAttribute('2')])))
    expect(findAttribute(message, AttributeType.Username)).toEqual(text('1'))
  })
})

describe('an attribute', () => {
  it('CRC-32 has its check value', () => {
    expect(crc32(text('123456789'))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array())).toBe(0)
  })

  it.each(['0.0.0.0', '203.0.113.255', '::', '2001:db8::1', 'ff02::1', '2001:db8:0:1:1:1:1:1'])(
    'XOR-MAPPED-ADDRESS carries %s',
    (address) => {
      const random = new SeededRandom(address)
      for (const port of [0, 1, 0x2112, 65_535]) {
        const transactionId = random.bytes(12)
        const { value } = xorMappedAddressAttribute({ address, port }, transactionId)
        expect(readXorMappedAddress(value, transactionId)).toEqual({ address, port })
      }
    },
  )

  it('an address of an unknown family or a wrong length is none', () => {
    for (const value of ['', '00', '0001', '000100501122', '0001005001020304ff', '0002005001020304']) {
      expect(readMappedAddress(hex(value)), value).toBeUndefined()
      expect(readXorMappedAddress(hex(value), TransactionId), value).toBeUndefined()
    }
    for (const length of [15, 17]) {
      expect(readMappedAddress(hex(`00020050${'ff'.repeat(length)}`))).toBeUndefined()
    }
    expect(readMappedAddress(hex('0003005001020304'))).toBeUndefined()
    expect(readMappedAddress(hex('0001005001020304'))).toEqual({ address: '1.2.3.4', port: 80 })
  })

  it('ERROR-CODE has a class from 3 to 6 and a number below 100', () => {
    const back = (value: number): unknown =>
      readErrorCode(errorCodeAttribute({ code: value, reason: 'Why' }).value)
    for (const value of [300, 420, 699]) expect(back(value)).toEqual({ code: value, reason: 'Why' })
    for (const value of [0, 299, 700]) expect(back(value)).toBeUndefined()
    for (const value of ['', '0000', '000004', '00000464', '00000414ff'])
      expect(readErrorCode(hex(value)), value).toBeUndefined()
    // Reserved bits are ignored.
    expect(readErrorCode(hex('fffffc14'))).toEqual({ code: 420, reason: '' })
  })

  it('UNKNOWN-ATTRIBUTES is a list of types', () => {
    expect(readUnknownAttributes(unknownAttributesAttribute([]).value)).toEqual([])
    expect(readUnknownAttributes(unknownAttributesAttribute([1, 0xffff]).value)).toEqual([1, 0xffff])
    expect(readUnknownAttributes(hex('0001ff'))).toBeUndefined()
  })

  it('USERNAME has at most 508 bytes of UTF-8', () => {
    expect(readUsername(text('x'.repeat(508)))).toHaveLength(508)
    expect(readUsername(text('x'.repeat(509)))).toBeUndefined()
    expect(readUsername(hex('c3'))).toBeUndefined()
  })
})

describe('the binding method', () => {
  const source = { address: '198.51.100.7', port: 40_000 }

  it('answers with where the request came from, under the key', () => {
    const answer = decodeMessage(answerBinding(request(), source, integrity))
    expect(answer).toMatchObject({ class: 'success', method: Binding, fingerprint: true })
    expect(answer.transactionId).toEqual(TransactionId)
    expect(verifyIntegrity(answer, nodeCrypto, Password)).toBe(true)
    expect(readBindingSuccess(answer)).toEqual(source)
    expect(decodeMessage(answerBinding(request(), source)).integrity).toBeUndefined()
  })

  it('refuses attributes that have to be understood and are not, and names them', () => {
    const unknown = [0x7fff, 0x0025].map((type) => ({ type, value: new Uint8Array(4) }))
    const optional = { type: 0x8000, value: new Uint8Array() }
    const answer = decodeMessage(answerBinding(request([...unknown, optional]), source, integrity))
    expect(answer.class).toBe('error')
    expect(readErrorCode(findAttribute(answer, AttributeType.ErrorCode)!)?.code).toBe(420)
    const named = findAttribute(answer, AttributeType.UnknownAttributes)!
    expect(readUnknownAttributes(named)).toEqual([0x7fff, 0x0025])
    expect(verifyIntegrity(answer, nodeCrypto, Password)).toBe(true)
    expect(decodeMessage(answerBinding(request([optional]), source)).class).toBe('success')
  })

  it('takes MAPPED-ADDRESS where there is no XOR-MAPPED-ADDRESS, and nothing else', () => {
    const success = (...attributes: Attribute[]): Message => ({ ...request(attributes), class: 'success' })
    const plain = { type: AttributeType.MappedAddress, value: hex('0001005001020304') }
    const xored = xorMappedAddressAttribute(source, TransactionId)
    expect(readBindingSuccess(success(plain))).toEqual({ address: '1.2.3.4', port: 80 })
    expect(readBindingSuccess(success(plain, xored))).toEqual(source)
    expect(readBindingSuccess(success())).toBeUndefined()
    expect(readBindingSuccess(success({ ...xored, value: new Uint8Array(3) }, plain))).toBeUndefined()
    expect(readBindingSuccess(success({ type: 0x7fff, value: new Uint8Array() }, xored))).toBeUndefined()
    const portless = xorMappedAddressAttribute({ ...source, port: 0 }, TransactionId)
    expect(readBindingSuccess(success(portless))).toBeUndefined()
  })
})
