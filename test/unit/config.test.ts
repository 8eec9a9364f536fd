import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { UsageError } from '../../src/core/errors.js'
import { ConfigError } from '../../src/node/config/config-error.js'
import { type ConfigInput, type LoadedConfig, loadConfig } from '../../src/node/config/load-config.js'
import type { AdapterSchemas } from '../../src/node/config/schema.js'
import { checkConfig, formatCheck, formatConfig, showConfig } from '../../src/node/config/show-config.js'
import { resolveTransport } from '../../src/node/config/transport-settings.js'

const adapterSchemas: AdapterSchemas = new Map<string, $ZodType>([
  [
    'mqtt',
    z.strictObject({
      url: z._default(z.array(z.string().check(z.regex(/^mqtts?:\/\//, 'expected an mqtt URL'))), [
        'mqtts://broker.example:8883',
      ]),
      username: z.optional(z.string()),
      password: z.optional(z.string()),
      passwordFile: z.optional(z.string()),
      retries: z.optional(z.int()),
    }),
  ],
  ['needy', z.strictObject({ server: z.string(), topics: z.optional(z.array(z.string())) })],
])

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gonet-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function load(input: Partial<ConfigInput> = {}): Promise<LoadedConfig> {
  return loadConfig({ environment: { HOME: folder }, cwd: folder, adapterSchemas, ...input })
}

function write(text: string, name = 'gonet.yaml', mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** The lines of the ConfigError that loading ends with. */
async function problems(input: Partial<ConfigInput> = {}): Promise<string[]> {
  const error: unknown = await load(input).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConfigError)
  expect(error).toBeInstanceOf(UsageError)
  expect((error as ConfigError).code).toBe('config-invalid')
  return (error as ConfigError).message.split('\n')
}

describe('layers', () => {
  it('has defaults for everything', async () => {
    const { config, sources, warnings, file } = await load()
    expect(config).toEqual({
      signal: ['mqtt'],
      adapters: { mqtt: { url: ['mqtts://broker.example:8883'] } },
      transport: {
        port: 0,
        stun: ['stun.l.google.com:19302', 'stun.cloudflare.com:3478'],
        turn: [],
        policy: 'all',
        portMapping: true,
        loopback: 'auto',
      },
      network: { mode: 'userspace', subnet: 'auto', mtu: 1280, interface: 'gonet0' },
      admission: { kind: 'open', allow: [] },
      chat: { history: 200 },
      log: { level: 'info', format: 'text' },
    })
    expect([...sources.values()].every(({ layer }) => layer === 'default')).toBe(true)
    expect(sources.has('network.mtu')).toBe(true)
    expect(sources.has('name')).toBe(false)
    expect(warnings).toEqual([])
    expect(file).toBeUndefined()
  })

  it('takes flags over --set over the environment over the file, key by key', async () => {
    write('name: file\nrole: host\nchat: { history: 1 }\nnetwork: { mtu: 1281 }\ntransport: { port: 1 }\n')
    const { config, sources } = await load({
      flags: { name: 'flag', room: undefined },
      set: ['name=set', 'chat.history=3', 'chat.history=4'],
      environment: { GONET_SET_NAME: 'env', GONET_SET_CHAT__HISTORY: '2', GONET_SET_NETWORK__MTU: '1282' },
    })
    expect(config.name).toBe('flag')
    expect(config.role).toBe('host')
    expect(config.chat.history).toBe(4)
    expect(config.network.mtu).toBe(1282)
    expect(config.transport.port).toBe(1)
    expect(sources.get('name')).toEqual({ layer: 'flag', source: '--name' })
    expect(sources.get('chat.history')).toEqual({ layer: 'set', source: '--set chat.history' })
    expect(sources.get('network.mtu')).toEqual({ layer: 'environment', source: 'GONET_SET_NETWORK__MTU' })
    expect(sources.get('transport.port')).toEqual({
      layer: 'file',
      source: 'gonet.yaml',
      line: 5,
      column: 20,
    })
    expect(sources.get('log.level')?.layer).toBe('default')
  })

  it('matches environment variables without regard to case', async () => {
    const { config } = await load({
      environment: {
        gonet_set_Adapters__Mqtt__passwordfile: '/run/secret',
        GONET_SET_ADAPTERS__MQTT__URL: '[mqtt://a, mqtt://b]',
        GONET_PASSWORD: 'not ours',
      },
    })
    expect(config.adapters['mqtt']).toEqual({
      url: ['mqtt://a', 'mqtt://b'],
      passwordFile: '/run/secret',
    })
  })

  it('refuses two variables for one key, and unknown ones', async () => {
    expect(
      await problems({
        environment: {
          GONET_SET_NAME: 'a',
          GONET_SET_name: 'b',
          GONET_SET_NAMR: 'c',
          GONET_SET_TRANSPORT__PROT: '1',
          GONET_SET_METRICS__LISTEN: 'x',
        },
      }),
    ).toEqual([
      'GONET_SET_name: name: the environment gives this key twice, also as GONET_SET_NAME',
      "GONET_SET_NAMR: namr: unknown key (did you mean 'GONET_SET_NAME'?)",
      "GONET_SET_TRANSPORT__PROT: transport.prot: unknown key (did you mean 'GONET_SET_TRANSPORT__PORT'?)",
      'GONET_SET_METRICS__LISTEN: metrics: this version of gonet does not have this key yet',
    ])
  })

  it('takes a single value for a list, in every layer', async () => {
    write('signal: mqtt\nadapters: { mqtt: { url: mqtt://file } }\n')
    const fromFile = await load()
    expect(fromFile.config.signal).toEqual(['mqtt'])
    expect(fromFile.config.adapters['mqtt']).toEqual({ url: ['mqtt://file'] })
    const fromSet = await load({ set: ['transport.stun=127.0.0.1:3478'] })
    expect(fromSet.config.transport.stun).toEqual(['127.0.0.1:3478'])
  })

  it('takes an empty list, and a whole section by --set', async () => {
    const { config } = await load({ set: ['transport={port: 5, stun: []}', 'adapters.mqtt.url=mqtt://x'] })
    expect(config.transport).toEqual({
      port: 5,
      stun: [],
      turn: [],
      policy: 'all',
      portMapping: true,
      loopback: 'auto',
    })
  })

  it('takes sections without content for absent', async () => {
    write('transport:\nadapters:\n  mqtt:\n')
    expect((await load()).config.transport.port).toBe(0)
  })
})

describe('finding the file', () => {
  it('looks at --config, $GONET_CONFIG, ./gonet.yaml, and the XDG folder, and takes the first', async () => {
    const xdg = join(folder, 'xdg')
    mkdirSync(join(xdg, 'gonet'), { recursive: true })
    mkdirSync(join(folder, '.config', 'gonet'), { recursive: true })
    write('name: home', '.config/gonet/gonet.yaml')
    expect((await load()).config.name).toBe('home')
    write('name: xdg', 'xdg/gonet/gonet.yaml')
    const environment = { HOME: folder, XDG_CONFIG_HOME: xdg }
    expect((await load({ environment })).config.name).toBe('xdg')
    write('name: here')
    expect((await load({ environment })).config.name).toBe('here')
    write('name: variable', 'v.yaml')
    const named = { ...environment, GONET_CONFIG: 'v.yaml' }
    expect((await load({ environment: named })).config.name).toBe('variable')
    const option = write('name: option', 'o.yaml')
    expect((await load({ environment: named, file: option })).config.name).toBe('option')
    expect((await load({ environment: named, file: option })).file).toBe(option)
    expect((await load({ environment: { ...environment, GONET_CONFIG: '' } })).config.name).toBe('here')
  })

  it('refuses a named file that is missing, a folder, or not UTF-8', async () => {
    expect(await problems({ file: 'none.yaml' })).toEqual(['none.yaml: there is no such file'])
    expect(await problems({ environment: { GONET_CONFIG: '/no/where' } })).toEqual([
      '/no/where: there is no such file',
    ])
    mkdirSync(join(folder, 'd'))
    expect(await problems({ file: 'd' })).toEqual(['d: cannot be read: it is a folder'])
    writeFileSync(join(folder, 'latin.yaml'), Buffer.from('name: caf\xe9', 'latin1'))
    expect(await problems({ file: 'latin.yaml' })).toEqual(['latin.yaml: cannot be read: it is not UTF-8'])
  })

  it('takes an empty file for one that says nothing', async () => {
    write('# nothing\n')
    expect((await load()).file).toBe('gonet.yaml')
  })
})

describe('room', () => {
  const ids = ['5e1234567', '012345', '123456', '1e99999', '0x123456', '12345678901234567890123', '.inf']

  it.each(ids)('keeps %s as it was written, in every layer', async (id) => {
    expect((await load({ environment: { GONET_SET_ROOM: id } })).config.room).toBe(id)
    expect((await load({ set: [`room=${id}`] })).config.room).toBe(id)
    expect((await load({ flags: { room: id } })).config.room).toBe(id)
    write(`room: ${id} # mine\n`)
    expect((await load()).config.room).toBe(id)
    write(`{ room: "${id}" }`)
    expect((await load()).config.room).toBe(id)
  })

  it.each(['true', 'null', '~', 'cf83 e135 7eef', 'gonet://join/cf83e1?key=a=&signal=mqtt#x'])(
    'keeps %s too',
    async (id) => {
      write(`room: ${id}\n`)
      expect((await load()).config.room).toBe(id)
    },
  )

  it('is not a list or nothing', async () => {
    write('room: [cf83e1]\n')
    expect(await problems()).toEqual(['gonet.yaml:1:7: room: expected a text, found a list'])
    write('room:\n')
    expect(await problems()).toEqual(['gonet.yaml:1:6: room: expected a room id or an invite'])
  })
})

describe('problems', () => {
  it('are all reported at once, with line, column and a suggestion', async () => {
    write(
      [
        'nmae: alice',
        'role: gest',
        'signal: [mqtt, mqqt, pigeon]',
        'adapters:',
        '  mqtt:',
        '    url: [mqtt://a, http://b]',
        '    password_file: x',
        '    password: 1234',
        '    retries: 1.5',
        '  mqtq: {}',
        '  pigeon: { port: 0 }',
        'transport:',
        '  port: 70000',
        '  io: fast',
        '  stun: [stun.example, "[::1]:3478", a:99999]',
        '  loopback: maybe',
        'network: { mode: bridge, mtu: "1280", subnet: 10.0.0.1/8 }',
        'stun: x:1',
        'chat: 5',
        'admission: { kind: invited }',
        'log: { level: [info], format: text }',
      ].join('\n'),
    )
    expect(await problems({ set: ['log.level=loud', 'nonsense', 'log.levle=info'] })).toEqual([
      "gonet.yaml:1:1: nmae: unknown key (did you mean 'name'?)",
      "gonet.yaml:2:7: role: expected host or guest, found 'gest' (did you mean 'guest'?)",
      "gonet.yaml:3:16: signal[1]: expected mqtt or needy, found 'mqqt' (did you mean 'mqtt'?)",
      "gonet.yaml:3:22: signal[2]: expected mqtt or needy, found 'pigeon'",
      'gonet.yaml:6:21: adapters.mqtt.url[1]: expected an mqtt URL',
      "gonet.yaml:7:5: adapters.mqtt.password_file: unknown key (did you mean 'adapters.mqtt.passwordFile'?)",
      'gonet.yaml:8:15: adapters.mqtt.password: expected a text, found a number (put it in quotes to make it a text)',
      'gonet.yaml:9:14: adapters.mqtt.retries: expected a whole number, found a fraction',
      "gonet.yaml:10:3: adapters.mqtq: unknown key (did you mean 'adapters.mqtt'?)",
      'gonet.yaml:11:3: adapters.pigeon: unknown key',
      'gonet.yaml:13:9: transport.port: expected a number of at most 65535',
      'gonet.yaml:14:3: transport.io: this version of gonet does not have this key yet',
      'gonet.yaml:15:10: transport.stun[0]: expected host:port',
      'gonet.yaml:15:38: transport.stun[2]: a port is from 1 to 65535',
      "gonet.yaml:16:13: transport.loopback: expected true, false or auto, found 'maybe'",
      "gonet.yaml:17:18: network.mode: expected userspace, tun or namespace, found 'bridge'",
      'gonet.yaml:17:31: network.mtu: expected a number, found a text (leave the quotes out)',
      'gonet.yaml:17:47: network.subnet: expected auto or an IPv4 network from /8 to /30, such as 10.20.0.0/16',
      "gonet.yaml:18:1: stun: unknown key (did you mean 'transport.stun'?)",
      'gonet.yaml:19:7: chat: expected a section of keys, found a number',
      "gonet.yaml:20:20: admission.kind: expected open, approve, allow, invite or password, found 'invited' (did you mean 'invite'?)",
      'gonet.yaml:21:15: log.level: expected silent, error, warn, info or debug, found a list',
      "--set log.level: log.level: expected silent, error, warn, info or debug, found 'loud'",
      '--set nonsense: expected key.path=value',
      "--set log.levle: log.levle: unknown key (did you mean 'log.level'?)",
    ])
  })

  it('carry their parts', async () => {
    write('nmae: alice\n')
    const error = (await load().catch((reason: unknown) => reason)) as ConfigError
    expect(error.problems).toEqual([
      {
        source: 'gonet.yaml',
        line: 1,
        column: 1,
        path: 'nmae',
        message: 'unknown key',
        suggestion: "did you mean 'name'?",
      },
    ])
  })

  it('include keys given twice', async () => {
    write('name: a\n"name": b\nlog: { level: info, level: warn }\nrloe: host\n')
    expect(await problems()).toEqual([
      "gonet.yaml:2:1: the key 'name' is given twice",
      "gonet.yaml:3:21: the key 'level' is given twice",
      "gonet.yaml:4:1: rloe: unknown key (did you mean 'role'?)",
    ])
  })

  it('include what is not YAML', async () => {
    write('name: [a\nrole: host\n')
    const [first, ...rest] = await problems()
    expect(first).toMatch(/^gonet\.yaml:\d+:\d+: not valid YAML: /)
    expect(rest.filter((line) => !line.includes('not valid YAML'))).toEqual([])
    write('name: !secret x\n')
    expect((await problems())[0]).toBe('gonet.yaml:1:7: not valid YAML: Unresolved tag: !secret')
    write('a: 1\n---\nb: 2\n')
    expect((await problems())[0]).toContain('not valid YAML')
    write('- a\n')
    expect(await problems()).toEqual(['gonet.yaml:1:1: expected a section of keys, found a list'])
    expect((await problems({ file: write('', 'e.yaml'), set: ['name={'] }))[0]).toMatch(
      /^--set name: name: not valid YAML/,
    )
  })

  it('include bombs, without going off', async () => {
    for (const bomb of ['['.repeat(100_000), '- '.repeat(50_000), 'a: '.padEnd(60_000, '{a: ')]) {
      write(bomb)
      expect(await problems()).toEqual(['gonet.yaml: nested deeper than 32 levels'])
    }
    const layers = Array.from(
      { length: 9 },
      (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`,
    )
    write(['a0: &a0 [x]', ...layers].join('\n'))
    expect((await problems())[0]).toContain('aliases make this larger than any configuration')
    write('signal: &a [*a]\n')
    expect((await problems())[0]).toContain('aliases make this larger')
    write(`name: ${'x'.repeat(1 << 20)}`)
    expect(await problems()).toEqual(['gonet.yaml: longer than 1048576 characters'])
  })

  it('allow anchors and aliases of reasonable use', async () => {
    write('transport: { stun: &s [127.0.0.1:3478] }\nadapters: { needy: { server: x, topics: *s } }\n')
    expect((await load()).config.adapters['needy']).toEqual({ server: 'x', topics: ['127.0.0.1:3478'] })
  })

  it('include names that nobody may have', async () => {
    expect(await problems({ flags: { name: '*x' } })).toEqual([
      '--name: name: a name does not begin with an asterisk',
    ])
    expect(await problems({ flags: { signal: [] } })).toEqual([
      '--signal: signal: at least one backend is needed',
    ])
    expect(await problems({ flags: { signal: ['mqtt', 'mqtt'] } })).toEqual([
      '--signal: signal: a backend is named twice',
    ])
    expect(await problems({ flags: { signal: ['mqqt'] } })).toEqual([
      "--signal: signal[0]: expected mqtt or needy, found 'mqqt' (did you mean 'mqtt'?)",
    ])
  })

  it("include what a selected adapter's options lack", async () => {
    expect(await problems({ flags: { signal: ['needy'] } })).toEqual([
      '--signal: adapters.needy.server: expected a text, found nothing',
    ])
    write('adapters: { needy: { topics: a } }\n')
    expect(await problems()).toEqual([
      'gonet.yaml:1:30: adapters.needy.server: expected a text, found nothing',
    ])
  })

  it.each(['10.20.0.0/16', '192.168.4.0/30', '10.0.0.0/8', 'auto'])('takes the subnet %s', async (subnet) => {
    expect((await load({ set: [`network.subnet=${subnet}`] })).config.network.subnet).toBe(subnet)
  })

  it.each([
    '10.20.0.0',
    '10.20.0.0/31',
    '10.20.0.1/24',
    '256.0.0.0/8',
    '010.0.0.0/8',
    'fd00::/8',
    '10.0.0.0/8/8',
  ])('refuses the subnet %s', async (subnet) => {
    expect((await problems({ set: [`network.subnet=${subnet}`] }))[0]).toContain('expected auto or an IPv4')
  })
})

describe('secrets', () => {
  const inline = 'adapters:\n  mqtt:\n    password: hunter2\n'

  it('inline work, and warn where others can read the file', async () => {
    write(inline, 'gonet.yaml', 0o600)
    expect((await load()).warnings).toEqual([])
    write(inline, 'gonet.yaml', 0o640)
    const { config, warnings } = await load()
    expect(config.adapters['mqtt']).toMatchObject({ password: 'hunter2' })
    expect(warnings).toEqual([
      'gonet.yaml:3:15: adapters.mqtt.password is a secret in a file that others can read: ' +
        'chmod 600 it, or use adapters.mqtt.passwordFile',
    ])
    write('adapters: { mqtt: { passwordFile: /run/x } }', 'gonet.yaml', 0o644)
    expect((await load()).warnings).toEqual([])
    write('adapters: { mqtt: { url: "mqtt://u:p@h" } }', 'gonet.yaml', 0o644)
    expect((await load()).warnings).toHaveLength(1)
  })

  it('in one way replace those in the other, from a layer below', async () => {
    write(inline)
    const { config, sources } = await load({ set: ['adapters.mqtt.passwordFile=/run/x'] })
    expect(config.adapters['mqtt']).toEqual({ url: ['mqtts://broker.example:8883'], passwordFile: '/run/x' })
    expect(sources.has('adapters.mqtt.password')).toBe(false)
    write(`${inline}    passwordFile: /run/x\n`)
    expect(await problems()).toEqual([
      'gonet.yaml:4:19: adapters.mqtt.passwordFile: give either this or adapters.mqtt.password, not both',
    ])
  })

  it('in files are looked up beside the configuration file, or from where gonet was started', async () => {
    mkdirSync(join(folder, 'etc'))
    write('adapters: { mqtt: { passwordFile: ./pass } }', 'etc/g.yaml')
    const fromFile = await load({ file: 'etc/g.yaml' })
    expect(fromFile.config.adapters['mqtt']).toMatchObject({ passwordFile: join(folder, 'etc', 'pass') })
    const set = await load({ file: 'etc/g.yaml', set: ['adapters.mqtt.passwordFile=pass'] })
    expect(set.config.adapters['mqtt']).toMatchObject({ passwordFile: join(folder, 'pass') })
    const environment = { HOME: folder, GONET_SET_ADAPTERS__MQTT__PASSWORDFILE: '/abs' }
    expect((await load({ environment })).config.adapters['mqtt']).toMatchObject({ passwordFile: '/abs' })
  })

  it('are masked in what is shown', async () => {
    write(`${inline}    url: [mqtt://user:pa@ss@host/x, mqtt://plain]\nname: "a #b"\n`)
    const loaded = await load({ set: ['chat.history=7'] })
    const text = await formatConfig(loaded)
    expect(text).not.toMatch(/hunter2|pa@|ss@/)
    expect(text).toContain('    password: "***" # gonet.yaml:3:15\n')
    expect(text).toContain(
      '    # gonet.yaml:4:10\n    url:\n      - mqtt://user:***@host/x\n      - mqtt://plain\n',
    )
    expect(text).toContain('  history: 7 # --set chat.history\n')
    expect(text).toContain('  level: info # default\n')
    expect(text).toContain('name: "a #b" # gonet.yaml:5:7\n')
    const shown = showConfig(loaded)
    expect(JSON.stringify(shown)).not.toContain('hunter2')
    expect(shown.sources['adapters.mqtt.password']).toBe('gonet.yaml:3:15')
    expect(shown.config['chat']).toEqual({ history: 7 })
    // What is shown is a configuration again.
    const again = await load({ file: write(text, 'again.yaml') })
    expect(again.config.chat.history).toBe(7)
  })

  it('do not get into problems', async () => {
    write('adapters: { mqtt: { password: 8675309, url: "http://u:8675309@h" } }\n')
    expect((await problems()).join('\n')).not.toContain('8675309')
  })
})

describe('config check', () => {
  it('tells all as data and as text', async () => {
    write('name: a\n')
    const good = await checkConfig({ environment: {}, cwd: folder, adapterSchemas })
    expect(good).toEqual({ ok: true, file: 'gonet.yaml', problems: [], warnings: [] })
    expect(formatCheck(good)).toBe('gonet.yaml: ok\n')
    write('nmae: a\nx: 1\n')
    const bad = await checkConfig({ environment: {}, cwd: folder, adapterSchemas })
    expect(bad.ok).toBe(false)
    expect(formatCheck(bad)).toBe(
      "gonet.yaml:1:1: nmae: unknown key (did you mean 'name'?)\ngonet.yaml:2:1: x: unknown key\n",
    )
  })
})

describe('resolveTransport', () => {
  it('leaves the default STUN servers alone where all is on loopback', async () => {
    const loaded = await load()
    expect(resolveTransport(loaded, false)).toEqual({
      port: 0,
      stun: ['stun.l.google.com:19302', 'stun.cloudflare.com:3478'],
      turn: [],
      policy: 'all',
      portMapping: true,
      loopback: false,
    })
    expect(resolveTransport(loaded, true)).toEqual({
      port: 0,
      stun: [],
      turn: [],
      policy: 'all',
      portMapping: false,
      loopback: true,
    })
  })

  it('keeps what somebody configured', async () => {
    const set = ['transport.stun=127.0.0.1:3478', 'transport.loopback=false', 'transport.port=9']
    const loaded = await load({ set })
    expect(resolveTransport(loaded, true)).toEqual({
      port: 9,
      stun: ['127.0.0.1:3478'],
      turn: [],
      policy: 'all',
      portMapping: false,
      loopback: false,
    })
    const on = await load({ set: ['transport.loopback=true'] })
    expect(resolveTransport(on, false).loopback).toBe(true)
  })
})
