/**
 * What the members of a room are called: no two the same, whoever had a name first keeps it, over restarts of the
 * host too (docs/protocol.md, Names). One line a member in the host's store.
 */
import { fromBase64, fromUtf8, utf8 } from '../core/encoding.js'
import { nameProblem } from '../core/identity.js'
import type { Store } from '../core/ports.js'

const StoreName = 'names'
/** Who was here the longest ago is forgotten. */
const MaxNames = 4096
const NameCharacters = 32

interface Claim {
  /** The name that the member gives itself. */
  readonly wanted: string
  readonly name: string
}

export class MemberNames {
  readonly #store: Store
  readonly #hostName: string
  /** By public key in base64, who was here last at the end. */
  readonly #claims = new Map<string, Claim>()
  /** Whose each name is, by the form in which names are compared. */
  readonly #owners = new Map<string, string>()
  #unsaved: string[] = []
  #savedLines = 0
  #mustRewrite = false

  constructor(store: Store, hostName: string) {
    this.#store = store
    this.#hostName = hostName
    this.#load()
  }

  /**
   * The name of a member from now on: its own, with a number behind it where another has that.
   * @param isPresent whether a key is on the roster: its name is not forgotten
   */
  claim(key: string, wanted: string, isPresent: (key: string) => boolean): string {
    const before = this.#claims.get(key)
    const claim = before?.wanted === wanted ? before : { wanted, name: this.#free(key, wanted) }
    this.#use(key, claim)
    if (claim !== before) this.#unsaved.push(key)
    for (const other of this.#claims.keys()) {
      if (this.#claims.size <= MaxNames) break
      if (!isPresent(other) && other !== key) this.#drop(other)
    }
    return claim.name
  }

  /**
   * Keeps what was claimed.
   * @throws GonetError `store-failed`: then the next call keeps it
   */
  save(): void {
    if (this.#unsaved.length === 0) return
    const mustRewrite = this.#mustRewrite || this.#savedLines >= 2 * MaxNames
    const keys = mustRewrite ? Array.from(this.#claims.keys()) : this.#unsaved
    const lines = keys.flatMap((key) => {
      const claim = this.#claims.get(key)
      return claim === undefined ? [] : [`${key}\t${claim.wanted}\t${claim.name}\n`]
    })
    // What failed once is brought by the next claim, with all others.
    this.#mustRewrite = true
    if (mustRewrite) this.#store.write(StoreName, utf8(lines.join('')))
    else this.#store.append(StoreName, utf8(lines.join('')))
    this.#mustRewrite = false
    this.#savedLines = mustRewrite ? lines.length : this.#savedLines + lines.length
    this.#unsaved = []
  }

  #free(key: string, wanted: string): string {
    for (let number = 1; ; number += 1) {
      const suffix = number === 1 ? '' : ` ${number}`
      const characters = Array.from(wanted).slice(0, NameCharacters - suffix.length)
      const name = `${characters.join('').trimEnd()}${suffix}`
      const owner = this.#owners.get(comparable(name))
      const isHosts = comparable(name) === comparable(this.#hostName)
      if (!isHosts && (owner === undefined || owner === key)) return name
    }
  }

  #use(key: string, claim: Claim): void {
    this.#drop(key)
    this.#claims.set(key, claim)
    this.#owners.set(comparable(claim.name), key)
  }

  #drop(key: string): void {
    const claim = this.#claims.get(key)
    if (claim === undefined) return
    this.#claims.delete(key)
    this.#owners.delete(comparable(claim.name))
  }

  #load(): void {
    const text = fromUtf8(this.#store.read(StoreName) ?? new Uint8Array()) ?? ''
    const lines = text.split('\n')
    // Behind a line that a crash has torn, another would be lost with it.
    this.#mustRewrite = lines.pop() !== ''
    this.#savedLines = lines.length
    for (const line of lines) {
      const [key = '', wanted = '', name = ''] = line.split('\t')
      if (fromBase64(key, 32) === undefined || [wanted, name].some((each) => nameProblem(each) !== undefined))
        continue
      const owner = this.#owners.get(comparable(name))
      if (owner !== undefined && owner !== key) this.#drop(owner)
      this.#use(key, { wanted, name })
    }
  }
}

/** Names that are written in two ways and look the same are one. */
function comparable(name: string): string {
  return name.normalize('NFKC').replace(/\p{Default_Ignorable_Code_Point}/gu, '')
}
