/** Adapters that users bring: modules that `signal:` names by their path. Nothing is loaded that is not named. */
import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { $ZodType } from 'zod/v4/core'
import type { AdapterDefinition } from '../adapters/adapter-definition.js'
import { registry } from '../adapters/index.js'
import { explain, UsageError } from '../core/errors.js'
import type { SignallingTraits } from '../core/signalling-adapter.js'
import { LaterValues } from './config/schema.js'
import { isOptionSchema } from './config/schema-shape.js'
import { ShieldedAdapter } from './shielded-adapter.js'

/** An AdapterDefinition as a module of yours exports it, by default or as `definition`. */
export interface OwnAdapterDefinition extends Omit<AdapterDefinition<never>, 'options'> {
  /**
   * The schema of its section below `adapters`, a strict object's; or a function that makes it with the Zod 4 that
   * gonet has, so that a module needs no package of its own.
   */
  readonly options: $ZodType | ((zod: typeof import('zod')) => $ZodType)
}

/** Links carry it (docs/protocol.md). */
const Name = /^[a-z]{1,16}$/
const MinRecordBytes = 4608

/**
 * Loads a module's adapter.
 * @param path absolute
 * @throws UsageError `own-adapter-missing`, `own-adapter-failed`, `own-adapter-wrong`; the message does not say
 *   which module
 */
export async function loadOwnAdapter(path: string): Promise<AdapterDefinition> {
  if (!existsSync(path)) throw new UsageError('own-adapter-missing', 'there is no such file')
  let exported: { readonly default?: unknown; readonly definition?: unknown }
  try {
    const { importModule } = await import('./import-module.js')
    exported = (await importModule(pathToFileURL(path).href)) as typeof exported
  } catch (error) {
    throw new UsageError('own-adapter-failed', `the module cannot be loaded: ${explain(error)}`, {
      cause: error,
    })
  }
  const own = exported.default ?? exported.definition
  // How CommonJS modules look from outside.
  return checkOwnAdapter((own as { definition?: unknown } | undefined)?.definition ?? own)
}

/**
 * An own adapter's definition as the registry's are, with everything it may do wrong caught.
 * @param where what messages begin with
 * @throws UsageError `own-adapter-wrong`
 */
export async function checkOwnAdapter(value: unknown, where = ''): Promise<AdapterDefinition> {
  try {
    return await checked(value)
  } catch (error) {
    if (where === '' || !(error instanceof UsageError)) throw error
    throw new UsageError(error.code, `${where}${error.message}`, { cause: error.cause })
  }
}

async function checked(value: unknown): Promise<AdapterDefinition> {
  if (value === undefined) throw wrong('it exports no adapter, neither by default nor as `definition`')
  if (typeof value !== 'object' || value === null) throw wrong('what it exports is not a definition')
  const own = value as OwnAdapterDefinition
  const { name, description, traits } = own
  if (typeof name !== 'string' || !Name.test(name)) throw wrong('`name` is not 1 to 16 letters a–z')
  if (registry.has(name) || LaterValues.get('signal')?.includes(name) === true) {
    throw wrong(`'${name}' is the name of a backend of gonet’s own: choose another`)
  }
  if (typeof description !== 'string') throw wrong('`description` is not a text')
  checkTraits(traits)
  for (const key of ['create', 'loopbackOnly'] as const) {
    if (typeof own[key] !== 'function') throw wrong(`\`${key}\` is not a function`)
  }
  return {
    name,
    description,
    traits,
    options: await optionsOf(own),
    create: async (options, context) => {
      const adapter = await own.create(options as never, context)
      return new ShieldedAdapter(name, traits, adapter)
    },
    loopbackOnly: (options) => {
      try {
        return own.loopbackOnly(options as never)
      } catch {
        return false
      }
    },
  }
}

async function optionsOf({ options }: OwnAdapterDefinition): Promise<$ZodType> {
  let schema: unknown = options
  if (typeof options === 'function') {
    // Loaded here, since it is large, and gonet itself has a smaller one.
    const zod = await import('zod')
    try {
      schema = options(zod)
    } catch (error) {
      throw wrong(`\`options\` fails: ${explain(error)}`)
    }
  }
  if (!isOptionSchema(schema)) throw wrong('`options` is not the schema of an object, of Zod 4')
  return schema
}

function checkTraits(traits: SignallingTraits | undefined): void {
  if (typeof traits !== 'object') throw wrong('`traits` is missing')
  const { maxRecordBytes, delivery, typicalLatencyMs, standing } = traits
  if (!Number.isInteger(maxRecordBytes) || maxRecordBytes < MinRecordBytes) {
    throw wrong(`\`traits.maxRecordBytes\` is not a whole number of at least ${MinRecordBytes}`)
  }
  if (!['push', 'poll'].includes(delivery)) throw wrong("`traits.delivery` is not 'push' or 'poll'")
  if (!(typicalLatencyMs >= 0)) throw wrong('`traits.typicalLatencyMs` is not a number')
  const flags: readonly (readonly [string, unknown])[] = [
    ...(['host', 'join', 'reply'] as const).map(
      (box) => [`standing.${box}`, (standing as Partial<typeof standing> | undefined)?.[box]] as const,
    ),
    ...(['retracts', 'expires', 'needsCredentials'] as const).map((key) => [key, traits[key]] as const),
  ]
  for (const [key, flag] of flags) {
    if (typeof flag !== 'boolean') throw wrong(`\`traits.${key}\` is not true or false`)
  }
}

function wrong(message: string): UsageError {
  return new UsageError('own-adapter-wrong', message)
}
