/** Spans of time as people write them: `90s`, `30m`, `1h`, `2d`. */

const UnitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** @returns ms; undefined for anything that is not a span of time */
export function parseDuration(text: string): number | undefined {
  const [, number = '', unit = ''] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? []
  const unitMs = UnitMs[unit]
  return unitMs === undefined ? undefined : Number(number) * unitMs
}
