/**
 * The seeds to run: one with `GONET_SEED=17`, so many from 0 on with `GONET_SEEDS=100`, these with
 * `GONET_SEEDS=100-149`; else `count` of them.
 */
export function seedsToRun(count: number): readonly string[] {
  const { GONET_SEED: one, GONET_SEEDS: many = String(count) } = process.env
  if (one !== undefined) return [one]
  const [first, last] = many.includes('-') ? many.split('-').map(Number) : [0, Number(many) - 1]
  if (first === undefined || last === undefined || !(first <= last)) {
    throw new Error(`GONET_SEEDS is a number such as 100, or a range such as 100-149: not ${many}`)
  }
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
}
