/** The Binding method (RFC 8489 section 2): who asks is told where it was seen. */
import type { SocketAddress } from '../../core/machine.js'
import {
  errorCodeAttribute,
  readMappedAddress,
  readXorMappedAddress,
  unknownAttributesAttribute,
  xorMappedAddressAttribute,
} from './attributes.js'
import { AttributeType, Binding, FirstComprehensionOptional, UnknownAttributeError } from './constants.js'
import { type Attribute, encodeMessage, findAttribute, type Message, type StunCrypto } from './message.js'

const Understood: ReadonlySet<number> = new Set(Object.values(AttributeType))

/**
 * The answer to a binding request: a success response with XOR-MAPPED-ADDRESS, or error 420 where the
 * request has attributes that must be understood and are not.
 * @param source where the request came from
 * @param integrity answers with MESSAGE-INTEGRITY under this key; the request is verified already
 */
export function answerBinding(
  request: Message,
  source: SocketAddress,
  integrity?: { readonly crypto: StunCrypto; readonly key: Uint8Array },
): Uint8Array {
  const { transactionId } = request
  const unknown = unknownAttributes(request)
  const attributes: readonly Attribute[] =
    unknown.length === 0
      ? [xorMappedAddressAttribute(source, transactionId)]
      : [
          errorCodeAttribute({ code: UnknownAttributeError, reason: 'Unknown Attribute' }),
          unknownAttributesAttribute(unknown),
        ]
  return encodeMessage(
    { class: unknown.length === 0 ? 'success' : 'error', method: Binding, transactionId, attributes },
    { ...(integrity && { integrity }), fingerprint: true },
  )
}

/**
 * Where a success response says that the request came from: XOR-MAPPED-ADDRESS, or the MAPPED-ADDRESS of
 * older servers. Undefined where it says nothing usable, or has attributes that must be understood and are
 * not (RFC 8489 section 6.3.3).
 */
export function readBindingSuccess(response: Message): SocketAddress | undefined {
  if (unknownAttributes(response).length > 0) return undefined
  const xored = findAttribute(response, AttributeType.XorMappedAddress)
  const plain = findAttribute(response, AttributeType.MappedAddress)
  const mapped =
    xored !== undefined
      ? readXorMappedAddress(xored, response.transactionId)
      : plain && readMappedAddress(plain)
  return mapped === undefined || mapped.port === 0 ? undefined : mapped
}

/** The types that must be understood and are not (RFC 8489 section 6.3). */
export function unknownAttributes({ attributes }: Message): number[] {
  const types = attributes.map(({ type }) => type)
  return types.filter((type) => type < FirstComprehensionOptional && !Understood.has(type))
}
