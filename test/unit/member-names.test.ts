import { beforeEach, describe, expect, it } from 'vitest'
import { utf8 } from '../../src/core/encoding.js'
import { MemberNames } from '../../src/room/member-names.js'
import { MemoryStore } from '../sim/memory-store.js'

const key = (number: number): string => Buffer.alloc(32, number).toString('base64')
const nobody = (): boolean => false

describe('the names of members', () => {
  let store: MemoryStore
  let names: MemberNames
  const claim = (number: number, wanted: string): string => {
    const name = names.claim(key(number), wanted, nobody)
    names.save()
    return name
  }
  beforeEach(() => {
    store = new MemoryStore()
    names = new MemberNames(store, 'host')
  })

  it('are unique: who comes later gets a number', () => {
    expect([1, 2, 3].map((number) => claim(number, 'bob'))).toEqual(['bob', 'bob 2', 'bob 3'])
    expect(claim(4, 'host')).toBe('host 2')
    expect(claim(5, 'bob 2')).toBe('bob 2 2')
  })

  it('are unique in what is seen of them', () => {
    expect([claim(1, 'Zo\u00eb'), claim(2, 'Zoe\u0308'), claim(3, 'Zo\u00eb\ufe0f')]).toEqual([
      'Zo\u00eb',
      'Zoe\u0308 2',
      'Zo\u00eb\ufe0f 3',
    ])
  })

  it('stay with the key, over restarts of the host too', () => {
    claim(1, 'bob')
    claim(2, 'bob')
    names = new MemberNames(store, 'host')
    expect([claim(2, 'bob'), claim(1, 'bob'), claim(3, 'bob')]).toEqual(['bob 2', 'bob', 'bob 3'])
  })

  it('are free again once their member has another', () => {
    claim(1, 'bob')
    expect([claim(1, 'robert'), claim(2, 'bob'), claim(1, 'bob')]).toEqual(['robert', 'bob', 'bob 2'])
  })

  it('are names still when they are long', () => {
    const long = '☃'.repeat(32)
    expect([claim(1, long), claim(2, long)]).toEqual([long, `${'☃'.repeat(30)} 2`])
  })

  it('are kept for as many as there is room for, those that are present first', () => {
    const present = key(0)
    names.claim(present, 'first', nobody)
    for (let number = 0; number < 5000; number += 1) {
      const bytes = Buffer.alloc(32, 255)
      bytes.writeUInt32BE(number)
      names.claim(bytes.toString('base64'), `guest ${number}`, (other) => other === present)
    }
    names.save()
    expect(claim(1, 'first')).toBe('first 2')
    expect(claim(2, 'guest 0')).toBe('guest 0')
    expect(claim(3, 'guest 4999')).toBe('guest 4999 2')
  })

  it('survive a torn line, and lines that are none', () => {
    store.write('names', utf8(`${key(1)}\tbob\tbob\nx\n${key(2)}\ta:b\ta:b\n${key(3)}\tann`))
    names = new MemberNames(store, 'host')
    expect([claim(4, 'bob'), claim(5, 'ann')]).toEqual(['bob 2', 'ann'])
    names = new MemberNames(store, 'host')
    expect([claim(6, 'ann'), claim(1, 'bob')]).toEqual(['ann 2', 'bob'])
  })
})
