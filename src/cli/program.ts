/** The commands and their options. What a command does is imported when it is called. */
import { Command } from 'commander'
import type { RunningServer } from '../node/running-server.js'
import { collect, type GlobalOptions, parseNames, parseTimeout, TimeoutDefault } from './global-options.js'
import { addInviteCommand } from './invite-command.js'
import { LaterCommands, notYet } from './later.js'
import { parseListen } from './listen.js'
import { addRunningRoomCommands } from './running-room-commands.js'

const Examples = `
Examples:
  gonet create                        host a room, and print its id
  gonet join cf83-e135-7eef-b8bd-f154 join it, on another machine
  gonet demo                          see a host and a guest meet on this machine`

/** @param onExitCode called with the exit code of a command that has ended; 0 where it is not called */
export function makeProgram(version: string, onExitCode: (exitCode: number) => void): Command {
  const program = new Command('gonet')
    .description('A private network and a chat between machines behind any NAT.')
    .version(version, '-V, --version')
    .usage('[options] <command>')
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ showGlobalOptions: false })
    .option('--signal <name,...>', 'signalling backends', parseNames)
    .option('-c, --config <file>', 'configuration file')
    .option('--set <key.path=value>', 'set one configuration key; may be repeated', collect)
    .option('--name <name>', 'the name that others see')
    .option('--state <folder>', 'identities, pins, history ($XDG_STATE_HOME/gonet)')
    .option('--timeout <seconds>', 'how long a join may take', parseTimeout, TimeoutDefault)
    .option('--password-file <file>', "the room's password is this file's first line")
    .option('--json', 'print one JSON object a line')
    .option('--plain', 'print plain lines, also on a terminal')
    .option('--quiet', 'say less')
    .option('--verbose', 'say more')
    .option('--stay', 'do not leave when stdin ends')
    .option('--room <id>', 'which running room a command is for: the beginning of its id')
    .addHelpText('after', Examples)
  const options = (): GlobalOptions => program.opts<GlobalOptions>()

  program
    .command('create')
    .description('host a room and chat')
    .argument(
      '[roomid]',
      'an id of your choice, or a room hosted before; by default the configured or the last one',
    )
    .option('--new', 'host another room, with a new key')
    .action(async (room: string | undefined, { new: isNew }: { readonly new?: true }) => {
      const { create } = await import('./commands/create.js')
      await create(room, isNew === true, options())
    })
  program
    .command('join', { isDefault: true })
    .description('join a room and chat; the word join can be left out')
    .argument(
      '[room]',
      "a room id, a gonet:// link, or the host's public key; by default the configured room",
    )
    .action(async (room: string | undefined) => {
      const { join } = await import('./commands/join.js')
      const commands = program.commands.map((command) => command.name())
      await join(room, options(), commands)
    })
  addRunningRoomCommands(program, options, onExitCode)
  addInviteCommand(program, options)
  addServe(program, options)
  program
    .command('demo')
    .description('show a host and a guest meeting, on this machine only')
    .action(async () => {
      const { demo } = await import('./commands/demo.js')
      await demo()
    })
  addIdentity(program, options)
  addConfig(program, options, onExitCode)
  program
    .command('inspect')
    .description('say what a signalling message says')
    .argument('<file>', '- for stdin')
    .action(async (file: string) => {
      const { inspect } = await import('./commands/inspect.js')
      await inspect(file, options())
    })
  addNat(program, options, onExitCode)
  addDoctor(program, options, onExitCode)
  addLater(program)
  return program
}

function addServe(program: Command, options: () => GlobalOptions): void {
  const serve = program.command('serve').description('run a piece of infrastructure')
  const runServer = async (name: string, start: () => Promise<RunningServer>): Promise<void> => {
    const { serve: run } = await import('./commands/serve.js')
    await run(name, options(), start)
  }
  serve
    .command('mqtt')
    .description('an MQTT broker')
    .option('--listen <ip:port>', 'where to listen', '127.0.0.1:1883')
    .action(async ({ listen }: { readonly listen: string }) => {
      const { startMqtt } = await import('./commands/serve-mqtt.js')
      await runServer('mqtt', () => startMqtt(parseListen(listen)))
    })
  serve
    .command('dht')
    .description('a DHT node that others start from')
    .option('--listen <ip:port>', 'where to listen', '127.0.0.1:49737')
    .action(async ({ listen }: { readonly listen: string }) => {
      const { startDht } = await import('./commands/serve-dht.js')
      await runServer('dht', () => startDht(parseListen(listen)))
    })
  serve
    .command('dns')
    .description('the DNS server of a zone in which records lie')
    .argument('<zone>', 'such as gonet.example.org')
    .option('--listen <ip:port>', 'where to listen, by UDP and TCP', '127.0.0.1:8053')
    .action(async (zone: string, { listen }: { readonly listen: string }) => {
      const { startDns } = await import('./commands/serve-dns.js')
      await runServer('dns', () => startDns(parseListen(listen), zone))
    })
  serve
    .command('stun')
    .description('a STUN server: tells peers their public address')
    .option('--listen <ip:port>', 'where to listen', '127.0.0.1:3478')
    .action(async ({ listen }: { readonly listen: string }) => {
      const { startStun } = await import('./commands/serve-stun.js')
      await runServer('stun', () => startStun(parseListen(listen)))
    })
  serve
    .command('etcd')
    .description('the etcd that is installed, with data of its own')
    .option('--listen <ip:port>', 'where to listen', '127.0.0.1:2379')
    .option('--data <folder>', 'where its data lies; by default in the state folder')
    .action(async ({ listen, data }: { readonly listen: string; readonly data?: string }) => {
      const { startEtcd } = await import('./commands/serve-etcd.js')
      const { state } = options()
      await runServer('etcd', () => startEtcd(parseListen(listen), { state, data }))
    })
}

function addIdentity(program: Command, options: () => GlobalOptions): void {
  const identity = program.command('identity').description('who this machine is to others')
  identity
    .command('show')
    .description('the public keys of the guest and of every hosted room')
    .action(async () => {
      const { showIdentities } = await import('./commands/identity.js')
      showIdentities(options())
    })
  identity
    .command('export')
    .description('print an identity, which is secret, to carry it elsewhere')
    .argument('[roomid]', "a hosted room's; the guest's by default")
    .action(async (room: string | undefined) => {
      const { exportIdentity } = await import('./commands/identity.js')
      exportIdentity(room, options())
    })
  identity
    .command('import')
    .description('keep an exported identity')
    .argument('<file>', '- for stdin')
    .action(async (file: string) => {
      const { importIdentity } = await import('./commands/identity.js')
      await importIdentity(file, options())
    })
}

function addConfig(
  program: Command,
  options: () => GlobalOptions,
  onExitCode: (exitCode: number) => void,
): void {
  const config = program.command('config').description('what is configured')
  config
    .command('check')
    .description('say what is wrong with the configuration')
    .action(async () => {
      const { checkConfiguration } = await import('./commands/config.js')
      onExitCode(await checkConfiguration(options()))
    })
  config
    .command('show')
    .description('print the configuration in force, and where each value comes from')
    .action(async () => {
      const { showConfiguration } = await import('./commands/config.js')
      await showConfiguration(options())
    })
  addLaterCommand(config, 'init', 'gonet config init')
}

function addNat(
  program: Command,
  options: () => GlobalOptions,
  onExitCode: (exitCode: number) => void,
): void {
  program
    .command('nat')
    .description('say how the NAT treats UDP, and what paths it allows')
    .option('--lifetime', 'measure how long it keeps a binding, which takes minutes')
    .action(async ({ lifetime }: { readonly lifetime?: true }) => {
      const { nat } = await import('./commands/nat.js')
      onExitCode(await nat(lifetime === true, options()))
    })
}

function addDoctor(
  program: Command,
  options: () => GlobalOptions,
  onExitCode: (exitCode: number) => void,
): void {
  program
    .command('doctor')
    .description('say what of all that gonet would use works, and what to do')
    .argument('[room]', 'a room to look at from within, as join takes it')
    .action(async (room: string | undefined) => {
      const { doctor } = await import('./commands/doctor.js')
      onExitCode(await doctor(room, options()))
    })
}

function addLater(program: Command): void {
  for (const name of LaterCommands) addLaterCommand(program, name, `gonet ${name}`)
}

function addLaterCommand(parent: Command, name: string, what: string): void {
  parent
    .command(name, { hidden: true })
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .action(() => {
      throw notYet(what)
    })
}
