import { describe, expect, it } from 'vitest'
import { lookAlike, lookAlikes, skeleton } from '../../src/core/look-alike.js'

describe('names', () => {
  it.each([
    ['bob', 'BOB'],
    ['bob', 'b0b'],
    ['bob', 'b\u043eb'],
    ['bob', 'bo\u200db'],
    ['bob', 'bo\ufe0fb'],
    ['bob', 'bo b'],
    ['bob', 'b.o_b'],
    ['alice', '\u0430li\u0441e'],
    ['alice', 'a1ice'],
    ['alice', 'aIice'],
    ['alice', '\uff21\uff4c\uff49\uff43\uff45'],
    ['alice', '\u{1d4b6}\u{1d4c1}\u{1d4be}\u{1d4b8}\u212f'],
    ['PAYPAL', '\u0420\u0410\u0423\u0420\u0410L'],
    ['Maria', 'M\u03b1r\u00eda'],
    ['tom', 'torn'],
    ['wanda', 'vvanda'],
    ['scope', '\u0455\u0441\u043e\u0440\u0435'],
    ['bob 2', 'bob2'],
  ])('look alike: %j and %j', (one, other) => {
    expect(skeleton(one)).toBe(skeleton(other))
  })

  it.each([
    ['bob', 'rob'],
    ['bob', 'bob 2'],
    ['anna', 'hannah'],
    ['Иван', 'Игорь'],
    ['山田', '山本'],
    ['राम', 'रीमा'],
    ['😀', '😎'],
  ])('do not look alike: %j and %j', (one, other) => {
    expect(skeleton(one)).not.toBe(skeleton(other))
  })

  it('are marked on both sides, with the first other', () => {
    expect(lookAlikes(['bob', 'anna', 'b0b', 'BOB'])).toEqual(['b0b', undefined, 'bob', 'bob'])
    expect([lookAlike('B0B', ['anna', 'bob']), lookAlike('zoe', ['bob'])]).toEqual(['bob', undefined])
  })
})
