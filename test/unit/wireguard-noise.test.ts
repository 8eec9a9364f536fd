import { describe, expect, it } from 'vitest'
import { nodeNoiseCrypto as crypto } from '../../src/node/noise-crypto.js'
import { Construction, Identifier } from '../../src/transports/wireguard/constants.js'
import { mac1Key } from '../../src/transports/wireguard/macs.js'
import { hkdf, SymmetricState } from '../../src/transports/wireguard/symmetric-state.js'

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

describe('primitives', () => {
  // HKDF with HMAC-BLAKE2s, as in wireguard-go's kdf_test.go.
  it.each([
    [
      '746573742d6b6579',
      '746573742d696e707574',
      '6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633',
      'df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a',
      'fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24',
    ],
    [
      '776972656775617264',
      '776972656775617264',
      '491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8',
      '1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f',
      '31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160',
    ],
    [
      '',
      '',
      '8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0',
      '58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e',
      '0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e',
    ],
  ])('HKDF of key "%s"', (key, input, ...outputs) => {
    expect(hkdf(crypto, bytes(key), bytes(input), 3).map(hex)).toEqual(outputs)
  })

  it('keyed BLAKE2s-128 agrees with Python’s hashlib', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i)
    expect(hex(crypto.mac(key, new Uint8Array(0)))).toBe('9536f9b267655743dee97b8a670f9f53')
    const message = Uint8Array.from({ length: 116 }, (_, i) => i)
    expect(hex(crypto.mac(key, message))).toBe('072e94ffbfc684bd8ab2a1b9dade2fd5')
  })

  it('the first chaining key and hash are those of every WireGuard', () => {
    const chainingKey = crypto.hash(text(Construction))
    expect(hex(chainingKey)).toBe('60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36')
    expect(hex(crypto.hash(chainingKey, text(Identifier)))).toBe(
      '2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3',
    )
    expect(hex(mac1Key(crypto, new Uint8Array(32)))).toBe(
      'd84d593e94aac535d9107d24b9e4576f12a1d0c96b630c2961edee4259e3e3c5',
    )
  })

  it('a key agreement refuses points of small order and wrong lengths', () => {
    const key = crypto.privateKey(new Uint8Array(32).fill(1))
    expect(key.dh(new Uint8Array(32))).toBeUndefined()
    expect(key.dh(bytes('01'.padEnd(64, '0')))).toBeUndefined()
    expect(key.dh(new Uint8Array(31))).toBeUndefined()
    expect(key.dh(key.publicKey)).toHaveLength(32)
  })

  it('a seal takes the whole counter into its nonce, and its plaintext’s own memory for output', () => {
    const key = new Uint8Array(32).fill(2)
    const output = new Uint8Array(40)
    output.set(text('in place'), 8)
    crypto.seal(key, 2 ** 40 + 3, output.subarray(8, 16), undefined, output, 8)
    expect(crypto.open(key, 3, output.subarray(8, 32), undefined)).toBeUndefined()
    expect(crypto.open(key, 2 ** 40 + 3, output.subarray(8, 32), undefined)).toEqual(text('in place'))
  })
})

describe('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s', () => {
  /** From the cacophony test vectors, which several Noise implementations share. */
  const vector = {
    prologue: '4a6f686e2047616c74',
    psk: '54686973206973206d7920417573747269616e20706572737065637469766521',
    initiatorStatic: 'e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1',
    initiatorEphemeral: '893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a',
    responderPublic: '31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62',
    responderEphemeral: 'bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b',
    payloads: [
      '4c756477696720766f6e204d69736573',
      '4d757272617920526f746862617264',
      '462e20412e20486179656b',
      '4361726c204d656e676572',
    ],
    ciphertexts: [
      'ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e51ee93109008399a21f7e13f',
      '95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a',
      '8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7',
      '07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef',
    ],
  }

  it('agrees with the published vector', () => {
    const payloads = vector.payloads.map(bytes)
    const initiator = crypto.privateKey(bytes(vector.initiatorStatic))
    const ephemeral = crypto.privateKey(bytes(vector.initiatorEphemeral))
    const responderEphemeral = crypto.privateKey(bytes(vector.responderEphemeral)).publicKey
    const responderPublic = bytes(vector.responderPublic)

    const state = SymmetricState.initialize(crypto, Construction, bytes(vector.prologue))
    const first = new Uint8Array(32 + 48 + payloads[0]!.length + 16)
    state.mixHash(responderPublic)
    first.set(ephemeral.publicKey)
    state.mixHash(ephemeral.publicKey)
    state.mixKey(ephemeral.publicKey)
    state.mixKey(ephemeral.dh(responderPublic)!)
    state.encryptAndHash(initiator.publicKey, first, 32)
    state.mixKey(initiator.dh(responderPublic)!)
    state.encryptAndHash(payloads[0]!, first, 80)
    expect(hex(first)).toBe(vector.ciphertexts[0])

    const second = bytes(vector.ciphertexts[1]!)
    expect(second.subarray(0, 32)).toEqual(responderEphemeral)
    state.mixHash(responderEphemeral)
    state.mixKey(responderEphemeral)
    state.mixKey(ephemeral.dh(responderEphemeral)!)
    state.mixKey(initiator.dh(responderEphemeral)!)
    state.mixKeyAndHash(bytes(vector.psk))
    expect(state.clone().decryptAndHash(second.subarray(32))).toEqual(payloads[1])

    const [initiatorKey, responderKey] = state.split()
    const third = new Uint8Array(payloads[2]!.length + 16)
    crypto.seal(initiatorKey, 0, payloads[2]!, undefined, third, 0)
    expect(hex(third)).toBe(vector.ciphertexts[2])
    expect(crypto.open(responderKey, 0, bytes(vector.ciphertexts[3]!), undefined)).toEqual(payloads[3])
  })
})
