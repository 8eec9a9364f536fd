/**
 * The list of pastes as pastebin.com gives it: `<paste>` elements one after the other, each with elements for
 * its parts, without a root. Nothing else of XML is read.
 */
import { isPasteId, type Paste } from './paste-service.js'

/** The site shows at most 1000. */
const MaxPastes = 1000

/** Undefined for what is no list. Entries that make no sense are left out. */
export function parsePasteList(text: string): Paste[] | undefined {
  const trimmed = text.trim()
  if (/^No pastes found\.?$/.test(trimmed)) return []
  if (!trimmed.startsWith('<paste>')) return undefined
  const pastes: Paste[] = []
  for (const block of trimmed.split('</paste>').slice(0, MaxPastes)) {
    const id = part(block, 'paste_key')
    const createdAt = count(part(block, 'paste_date'))
    const size = count(part(block, 'paste_size'))
    if (!isPasteId(id) || createdAt === undefined || size === undefined) continue
    pastes.push({ id, title: part(block, 'paste_title') ?? '', createdAt, size })
  }
  return pastes
}

function part(block: string, name: string): string | undefined {
  const open = `<${name}>`
  const from = block.indexOf(open)
  if (from < 0) return undefined
  const to = block.indexOf(`</${name}>`, from)
  return to < 0 ? undefined : block.slice(from + open.length, to)
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined
}
