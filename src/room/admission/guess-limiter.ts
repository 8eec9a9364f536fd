/**
 * How often passwords may be tried. A guest learns from one answer of the host whether its password is right, so
 * each answer is a guess until it has proved to be none. Strangers have a budget of their own: they cannot lock
 * out those who have been in the room before.
 */
import { TokenBucket } from '../../core/bounded.js'

/** At once, and then one a minute, for one key. */
const GuessesPerKey = 5
/** The same for one network: an IPv4 /24 or an IPv6 /48, or a relay with all who use it. */
const GuessesPerNetwork = 10
/** At once and a minute, for all strangers, and as many again for all whom the host knows. */
const Guesses = 60
const MaxBuckets = 4096

/** Who guesses. */
export interface Guesser {
  /** Its public key, base64. */
  readonly key: string
  /** Its network; undefined where it is not known. */
  readonly network: string | undefined
  /** Whether it has been let in before. */
  readonly isKnown: boolean
}

export class GuessLimiter {
  readonly #byKey = new Map<string, TokenBucket>()
  readonly #byNetwork = new Map<string, TokenBucket>()
  readonly #strangers = new TokenBucket(Guesses / 60, Guesses)
  readonly #known = new TokenBucket(Guesses / 60, Guesses)

  /** Takes one guess, or none and false. */
  take(now: number, guesser: Guesser): boolean {
    const taken: TokenBucket[] = []
    for (const bucket of this.#bucketsOf(guesser)) {
      if (bucket.take(now)) taken.push(bucket)
      else {
        // One empty bucket must not empty the others.
        for (const each of taken) each.charge(-1)
        return false
      }
    }
    return true
  }

  /** It was no guess: the password was right. */
  giveBack(guesser: Guesser): void {
    for (const bucket of this.#bucketsOf(guesser)) bucket.charge(-1)
  }

  #bucketsOf({ key, network, isKnown }: Guesser): readonly TokenBucket[] {
    const own = bucketOf(this.#byKey, key, GuessesPerKey)
    if (isKnown) return [own, this.#known]
    const near = network === undefined ? [] : [bucketOf(this.#byNetwork, network, GuessesPerNetwork)]
    return [own, ...near, this.#strangers]
  }
}

/** The network that an address belongs to, as far as one person is likely to have it all. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address.split('.').slice(0, 3).join('.')
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array.from({ length: missing }, () => '0')].slice(0, 3).join(':')
}

function bucketOf(buckets: Map<string, TokenBucket>, name: string, guesses: number): TokenBucket {
  const bucket = buckets.get(name) ?? new TokenBucket(1 / 60, guesses)
  buckets.delete(name)
  buckets.set(name, bucket)
  const [oldest] = buckets.keys()
  if (buckets.size > MaxBuckets && oldest !== undefined) buckets.delete(oldest)
  return bucket
}
