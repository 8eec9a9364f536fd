/**
 * The keys that a configuration may have, their types and their defaults. config/default.yaml documents
 * them, and config/schema.json is generated from here; a test holds the three together.
 */

import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { fromBase64 } from '../../core/encoding.js'
import { nameProblem } from '../../core/identity.js'
import type { AdmissionKind } from '../../core/messages.js'
import { parseSubnet } from '../../core/overlay.js'
import { parseTurnUrl } from '../../transports/turn/turn-url.js'

/** The configuration in force: every layer merged, every default filled in. */
export interface Config {
  /** The name that others see; the login name where there is none. */
  readonly name?: string | undefined
  readonly role?: 'host' | 'guest' | undefined
  /** A room id or an invite, as it was written. */
  readonly room?: string | undefined
  /** Signalling backends by name, at least one. */
  readonly signal: readonly string[]
  /** Options by adapter, valid for that adapter's schema; of those that `signal` or the user names. */
  readonly adapters: Readonly<Record<string, unknown>>
  readonly transport: {
    /** Local UDP port; 0 for any. */
    readonly port: number
    /** STUN servers, `host:port`. */
    readonly stun: readonly string[]
    /** TURN servers, the first of them in use. */
    readonly turn: readonly TurnServerConfig[]
    /** Which paths there may be. */
    readonly policy: 'all' | 'direct' | 'relay'
    /** Whether to ask the router for a mapping: PCP, NAT-PMP, UPnP. */
    readonly portMapping: boolean
    readonly loopback: boolean | 'auto'
  }
  readonly network: {
    /** How programs reach the room: not at all, or through an interface of the system's (Linux). */
    readonly mode: 'userspace' | 'tun' | 'namespace'
    /** An IPv4 network such as `10.20.0.0/16`. */
    readonly subnet: string
    /** Bytes. */
    readonly mtu: number
    /** The name of the network interface. */
    readonly interface: string
  }
  readonly admission: {
    /** Who may enter; the host's counts. */
    readonly kind: AdmissionKind
    /** The room's password: a host's guests have to know it, and a guest proves it. */
    readonly password?: string | undefined
    readonly passwordFile?: string | undefined
    /** Public keys, base64. */
    readonly allow: readonly string[]
  }
  readonly chat: {
    /** How many old messages a newcomer is shown; 0 for none. */
    readonly history: number
  }
  readonly log: {
    readonly level: 'silent' | 'error' | 'warn' | 'info' | 'debug'
    readonly format: 'text' | 'json'
  }
}

/** A TURN server: with a user and a password, or with the secret that it makes passwords from. */
export interface TurnServerConfig {
  /** RFC 7065. */
  readonly url: string
  readonly username?: string | undefined
  readonly credential?: string | undefined
  readonly credentialFile?: string | undefined
  readonly secret?: string | undefined
  readonly secretFile?: string | undefined
  /** A PEM file: what its certificate is verified by, instead of the system's authorities. */
  readonly ca?: string | undefined
}

/** Each adapter's option schema (an object's), by the adapter's name. */
export type AdapterSchemas = ReadonlyMap<string, $ZodType>

/** What needs nothing of one's own: the local network, and public servers. */
const DefaultSignal: readonly string[] = ['mdns', 'mqtt', 'dht']

const DefaultStunServers: readonly string[] = ['stun.l.google.com:19302', 'stun.cloudflare.com:3478']

/** The backends in use where nothing is configured, of those that there are. */
export function defaultSignal(adapterSchemas: AdapterSchemas): string[] {
  return DefaultSignal.filter((name) => adapterSchemas.has(name))
}

/** What Linux takes as the name of an interface, of those that need no quoting. */
const InterfaceName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/

/** Keys that the documentation promises for a later version: not mistyped, only early. */
export const LaterKeys: ReadonlySet<string> = new Set(['transport.io', 'network.routes', 'metrics'])

/** Likewise for values, by key. */
export const LaterValues: ReadonlyMap<string, readonly string[]> = new Map()

/** Keys whose value is the text as it was written, whatever YAML takes it for. */
export const SourceTextKeys: ReadonlySet<string> = new Set(['room'])

/**
 * The schema of the whole, for the adapters that there are.
 * @param modules what `signal` may hold besides their names: the paths of modules
 */
export function configSchema(
  adapterSchemas: AdapterSchemas,
  modules: readonly string[] = [],
): $ZodType<Config> {
  const adapters = Object.fromEntries(
    [...adapterSchemas].map(([name, options]) => [name, z.optional(options)]),
  )
  return z.strictObject({
    name: z.optional(
      described(z.string(), 'The name that others see.').check(
        z.check<string>((context) => {
          const problem = nameProblem(context.value)
          if (problem === undefined) return
          context.issues.push({ code: 'custom', message: problem, input: context.value })
        }),
      ),
    ),
    role: z.optional(described(z.enum(['host', 'guest']), 'What to be in the room.')),
    room: z.optional(
      described(z.string(), 'A room id or an invite.').check(
        z.minLength(1, 'expected a room id or an invite'),
        z.maxLength(4096),
      ),
    ),
    signal: z._default(
      described(
        z.array(z.enum([...adapterSchemas.keys(), ...modules])),
        'Signalling backends, all used at once.',
      ).check(
        z.minLength(1, 'at least one backend is needed'),
        z.refine((names) => new Set(names).size === names.length, 'a backend is named twice'),
      ),
      defaultSignal(adapterSchemas),
    ),
    adapters: section(adapters),
    transport: section({
      port: z._default(
        described(z.int(), 'Local UDP port; 0 for any.').check(z.minimum(0), z.maximum(65535)),
        0,
      ),
      stun: z._default(described(z.array(hostAndPort()), 'STUN servers, host:port.'), [
        ...DefaultStunServers,
      ]),
      turn: z._default(
        described(
          z.array(turnServer()),
          'TURN servers, for peers that no direct path connects; at most three.',
        ).check(z.maxLength(3, 'at most three servers are used')),
        [],
      ),
      policy: z._default(
        described(z.enum(['all', 'direct', 'relay']), 'Which paths there may be: relay hides our addresses.'),
        'all',
      ),
      portMapping: z._default(
        described(z.boolean(), 'Whether to ask the router to forward the port: PCP, NAT-PMP, UPnP.'),
        true,
      ),
      loopback: z._default(
        described(z.union([z.boolean(), z.literal('auto')]), 'Whether to offer loopback addresses as paths.'),
        'auto',
      ),
    }),
    network: section({
      mode: z._default(
        described(z.enum(['userspace', 'tun', 'namespace']), 'How programs reach the room.'),
        'userspace',
      ),
      subnet: z._default(
        described(z.string(), "The room's IPv4 network; only the host's counts.").check(
          z.refine(isSubnet, 'expected auto or an IPv4 network from /8 to /30, such as 10.20.0.0/16'),
        ),
        'auto',
      ),
      mtu: z._default(
        described(z.int(), 'Largest IP packet in the tunnel, in bytes.').check(
          z.minimum(1280),
          z.maximum(1420),
        ),
        1280,
      ),
      interface: z._default(
        described(z.string(), 'The name of the network interface, where there is one.').check(
          z.regex(InterfaceName, 'expected 1 to 15 letters, digits, -, _ or ., such as gonet0'),
        ),
        'gonet0',
      ),
    }),
    admission: section({
      kind: z._default(
        described(
          z.enum(['open', 'approve', 'allow', 'invite', 'password']),
          "Who may enter; the host's counts.",
        ),
        'open',
      ),
      password: z.optional(described(z.string(), "The room's password, which a guest proves to know.")),
      passwordFile: z.optional(described(z.string(), 'A file that holds it on its first line.')),
      allow: z._default(
        described(z.array(publicKey()), 'Public keys to let in, where the kind is allow.').check(
          z.maxLength(1000, 'at most 1,000 keys are listed'),
        ),
        [],
      ),
    }),
    chat: section({
      history: z._default(
        described(z.int(), 'Old messages that a newcomer is shown.').check(z.minimum(0), z.maximum(10_000)),
        200,
      ),
    }),
    log: section({
      level: z._default(
        described(z.enum(['silent', 'error', 'warn', 'info', 'debug']), 'The least that is logged.'),
        'info',
      ),
      format: z._default(described(z.enum(['text', 'json']), 'One line a record, either way.'), 'text'),
    }),
  })
}

/** A section whose members all have defaults, and which therefore may be left out. */
function section<Shape extends Record<string, $ZodType>>(
  shape: Shape,
): z.ZodMiniPrefault<z.ZodMiniObject<Shape, z.core.$strict>> {
  const object = z.strictObject(shape) as unknown as z.ZodMiniObject<Shape, z.core.$strict>
  return z.prefault(object, {} as z.core.input<typeof object>)
}

function described<Schema extends z.ZodMiniType>(schema: Schema, description: string): Schema {
  return schema.check(z.describe(description))
}

function hostAndPort(): z.ZodMiniString {
  return z.string().check(
    z.regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):\d{1,5}$/, { error: 'expected host:port', abort: true }),
    z.refine((text) => {
      const port = Number(text.slice(text.lastIndexOf(':') + 1))
      return port >= 1 && port <= 65535
    }, 'a port is from 1 to 65535'),
  )
}

function publicKey(): z.ZodMiniString {
  return z
    .string()
    .check(
      z.refine(
        (text) => fromBase64(text, 32) !== undefined,
        'expected a public key, as gonet identity show prints it',
      ),
    )
}

function turnServer(): z.ZodMiniType<TurnServerConfig> {
  const text = (description: string): z.ZodMiniOptional<z.ZodMiniString> =>
    z.optional(described(z.string(), description).check(z.minLength(1)))
  const server = z.strictObject({
    url: described(
      z.string(),
      'turn:host:port, with ?transport=tcp for TCP, or turns:host:port for TLS.',
    ).check(z.refine(isTurnUrl, 'expected turn:host:3478, turn:host:3478?transport=tcp or turns:host:5349')),
    username: text('The user; where a secret is given, its name in the log of the server.'),
    credential: text("The user's password."),
    credentialFile: text('A file that holds it on one line.'),
    secret: text('The secret that the server shares with those who may use it (use-auth-secret).'),
    secretFile: text('A file that holds it on one line.'),
    ca: text('A PEM file of the authorities to verify the certificate by.'),
  })
  return server.check(
    z.refine(
      ({ username, credential, credentialFile, secret, secretFile }) => {
        const given = [credential, credentialFile, secret, secretFile].filter((each) => each !== undefined)
        const hasSecret = secret !== undefined || secretFile !== undefined
        return given.length === 1 && (hasSecret || username !== undefined)
      },
      {
        error: 'expected username and one of credential and credentialFile, or one of secret and secretFile',
      },
    ),
  )
}

function isTurnUrl(text: string): boolean {
  try {
    parseTurnUrl(text)
    return true
  } catch {
    return false
  }
}

function isSubnet(text: string): boolean {
  if (text === 'auto') return true
  try {
    parseSubnet(text)
    return true
  } catch {
    return false
  }
}
