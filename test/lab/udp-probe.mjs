// UDP sockets that whoever started this commands: a JSON object a line on stdin and on stdout (udp-probe.ts).
import { createSocket } from 'node:dgram'
import { createInterface } from 'node:readline'

const sockets = new Map()

const commands = {
  open({ id, address, port }) {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    sockets.set(id, socket)
    socket.on('message', (bytes, source) => {
      const { address: from, port: fromPort } = source
      say({ event: 'message', id, text: bytes.toString(), source: { address: from, port: fromPort } })
    })
    // Such as for a destination that cannot be reached: what is sent there is lost.
    socket.on('error', () => undefined)
    socket.bind(port, address, () => {
      say({ event: 'open', id, port: socket.address().port })
    })
  },
  send({ id, text, destination }) {
    sockets.get(id).send(text, destination.port, destination.address, () => undefined)
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line)
    commands[command.command](command)
  })
  .on('close', () => process.exit())

function say(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}
