/** The layer of environment variables: GONET_SET_ADAPTERS__MQTT__URL is adapters.mqtt.url. */
import type { $ZodType } from 'zod/v4/core'
import { type ConfigProblem, type Origin, problemAt } from './config-error.js'
import { readLayer, type Setting, type WriteKey } from './layer.js'
import { nest } from './located.js'
import { memberOf, shapeOf } from './schema-shape.js'
import { readYaml } from './yaml-text.js'

const PasswordVariable = 'GONET_PASSWORD'
const Prefix = /^GONET_SET_/i

/**
 * Case does not matter, neither in the prefix nor in the keys; the values are YAML.
 * @param environment the process's, whole
 */
export async function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  schema: $ZodType,
  problems: ConfigProblem[],
): Promise<Setting[]> {
  const settings: Setting[] = []
  const seen = new Map<string, string>()
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || !Prefix.test(name)) continue
    const origin: Origin = { layer: 'environment', source: name }
    const path = keyPath(name.replace(Prefix, ''), schema)
    const key = path.join('.')
    const twin = seen.get(key)
    if (twin !== undefined) {
      problems.push(problemAt(origin, key, `the environment gives this key twice, also as ${twin}`))
      continue
    }
    seen.set(key, name)
    const value = await readYaml(text, origin, key, problems)
    const located = nest(path, value ?? { kind: 'scalar', origin, value: null, text: '' })
    if (value !== undefined || text.trim() === '') {
      settings.push(...readLayer(schema, located, problems, variableName))
    }
  }
  const password = environment[PasswordVariable]
  if (password !== undefined && !seen.has('admission.password')) {
    // As it is: no YAML.
    const origin: Origin = { layer: 'environment', source: PasswordVariable }
    const located = nest(['admission', 'password'], {
      kind: 'scalar',
      origin,
      value: password,
      text: password,
    })
    settings.push(...readLayer(schema, located, problems, () => PasswordVariable))
  }
  return settings
}

const variableName: WriteKey = (path) => `GONET_SET_${path.join('__').toUpperCase()}`

/** The schema's own spelling of each level, as far as it knows them. */
function keyPath(name: string, schema: $ZodType): string[] {
  let at: $ZodType | undefined = schema
  return name.split('__').map((level) => {
    const wanted = level.toLowerCase()
    const key: string =
      Object.keys((at && shapeOf(at)) ?? {}).find((known) => known.toLowerCase() === wanted) ?? wanted
    at = at && memberOf(at, key)
    return key
  })
}
