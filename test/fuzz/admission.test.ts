/** Admission messages come from strangers: what is not one is refused by a DecodeError, whatever it is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { readAdmission, writeAdmission } from '../../src/room/admission/message.js'

describe('an admission message', () => {
  it('is read from any bytes, or refused', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc.tuple(fc.integer({ min: 0, max: 10 }), fc.uint8Array({ maxLength: 600 })).map(([type, rest]) => {
        return Uint8Array.of(type, ...rest)
      }),
    )
    fc.assert(
      fc.property(bytes, (message) => {
        try {
          expect(writeAdmission(readAdmission(message))).toEqual(message)
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error
        }
      }),
    )
  })
})
