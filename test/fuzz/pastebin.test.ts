import './seed.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseItems } from '../../src/adapters/pastebin/bepasty.js'
import { parsePasteList } from '../../src/adapters/pastebin/paste-list-xml.js'
import { isPasteId, type Paste } from '../../src/adapters/pastebin/paste-service.js'
import { refusalWords } from '../../src/adapters/pastebin/pastebin-com.js'
import { decodePaste, encodePaste, parseTitle, titleOf } from '../../src/adapters/pastebin/titles.js'
import { parseHttpUrl } from '../../src/adapters/shared/http-url.js'
import { UsageError } from '../../src/core/errors.js'
import type { Box } from '../../src/core/signalling-adapter.js'

const anyText = fc.string({ unit: 'binary', maxLength: 300 })
const sender = fc.stringMatching(/^[0-9a-z]{1,64}$/)
const box: fc.Arbitrary<Box> = fc.oneof(
  fc.constantFrom<Box>('host', 'join'),
  sender.map((guest): Box => `reply/${guest}`),
)
const topic = fc.stringMatching(/^[a-z2-7]{20}$/)

function expectPastes(pastes: readonly Paste[] | undefined): void {
  for (const { id, title, createdAt, size } of pastes ?? []) {
    expect(isPasteId(id)).toBe(true)
    expect([typeof title, typeof createdAt, typeof size]).toEqual(['string', 'number', 'number'])
  }
}

describe('titles', () => {
  it('say which record a paste is', () => {
    fc.assert(
      fc.property(topic, box, sender, (...[at, inBox, from]) => {
        const key = { topic: at, box: inBox, sender: from }
        expect(parseTitle(titleOf(key))).toEqual(key)
      }),
    )
  })

  it('of others say nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          anyText.map((end) => `gonet-${'a'.repeat(20)}-join-${end}`),
        ),
        (title) => {
          const key = parseTitle(title)
          if (key !== undefined) expect(titleOf(key)).toBe(title)
        },
      ),
    )
  })
})

describe('pastes', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
        expect(decodePaste(encodePaste(bytes))).toEqual(bytes)
      }),
    )
  })

  it('of any text are records or nothing', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = decodePaste(text)
        if (bytes !== undefined) expect(bytes.length).toBeGreaterThan(0)
      }),
    )
  })
})

describe('lists', () => {
  const part = fc.oneof(
    anyText,
    fc
      .tuple(fc.constantFrom('paste_key', 'paste_date', 'paste_title', 'paste_size', 'other'), anyText)
      .map(([name, text]) => `<${name}>${text}</${name}>`),
    fc.constantFrom('<paste>', '</paste>', '<paste_date>12</paste_date>', '<paste_size>3</paste_size>'),
  )

  it('of pastebin.com hold pastes that make sense, whatever they are', () => {
    const lists = fc.array(part, { maxLength: 20 }).map((parts) => `<paste>${parts.join('')}`)
    fc.assert(
      fc.property(fc.oneof(anyText, lists), (text) => {
        expectPastes(parsePasteList(text))
      }),
    )
  })

  it('of bepasty hold pastes that make sense, whatever they are', () => {
    const value = fc.oneof(fc.integer(), anyText, fc.boolean(), fc.constant(null), fc.constant('gonet-x'))
    const meta = fc.record(
      { filename: value, size: value, complete: value, locked: value, 'timestamp-upload': value },
      { requiredKeys: [] },
    )
    const items = fc.dictionary(anyText, fc.oneof(value, fc.record({ 'file-meta': fc.oneof(value, meta) })), {
      maxKeys: 8,
    })
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          fc.json({ maxDepth: 2 }),
          items.map((all) => JSON.stringify(all)),
        ),
        (text) => {
          expectPastes(parseItems(text))
        },
      ),
    )
  })
})

describe('refusals', () => {
  it('are one short line without control characters', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(refusalWords(`Bad API request, ${text}`)).toMatch(/^[\x20-\x7e…]{10,260}$/)
      }),
    )
  })
})

describe('URLs', () => {
  it('are taken apart or refused', () => {
    const urls = fc.oneof(anyText, fc.webUrl({ withFragments: true, withQueryParameters: true }))
    fc.assert(
      fc.property(urls, (text) => {
        try {
          expect(parseHttpUrl(text, 'option', 'code').base).toMatch(/^https?:\/\//)
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError)
        }
      }),
    )
  })
})
