/** What the STUN servers say, as rows: each server, and the NAT of each address family. */
import { formatSocketAddress } from '../../core/machine.js'
import { natName } from '../../transports/nat/behaviour.js'
import { type Side, sideOf } from '../../transports/nat/prediction.js'
import type { Answer } from '../../transports/nat/questions.js'
import type { FamilyReport, NamedServer, NatReport } from '../nat-discovery.js'
import type { Row } from './row.js'

/** How this machine is connected, by family; undefined where nothing is known. */
export interface Sides {
  readonly ipv4: Side | undefined
  readonly ipv6: Side | undefined
}

const OtherServer = 'Check the name, or name another server with transport.stun'
const Blocked = 'A firewall may block UDP: then only TURN servers over TCP or TLS help (transport.turn)'

export function natRows({ servers, ipv4, ipv6 }: NatReport): readonly Row[] {
  return [...servers.map(serverRow), familyRow('NAT over IPv4', ipv4), familyRow('NAT over IPv6', ipv6)]
}

/** @returns 'no UDP' where servers were asked and none has answered */
export function sidesOf({ ipv4, ipv6 }: NatReport): Sides {
  return { ipv4: knownSide(ipv4), ipv6: knownSide(ipv6) }
}

function knownSide(report: FamilyReport | undefined): Side | undefined {
  if (report === undefined) return undefined
  return report.reflexive.length === 0 ? 'no UDP' : sideOf(report)
}

function serverRow({ name, addresses, answers }: NamedServer): Row {
  const what = `STUN server ${name}`
  if (addresses === undefined) return { what, state: 'warn', detail: 'has no address', advice: OtherServer }
  const [first] = answers
  if (first === undefined) {
    return { what, state: 'warn', detail: 'there is no route to it', advice: OtherServer }
  }
  const state = answers.some(({ answer }) => answer.type === 'answered') ? 'ok' : 'warn'
  const said = answers.map(({ address, answer }) => {
    const at = formatSocketAddress(address)
    return answers.length === 1 ? sayAnswer(answer) : `${at} ${sayAnswer(answer)}`
  })
  return { what, state, detail: said.join('; '), advice: state === 'ok' ? undefined : OtherServer }
}

function sayAnswer(answer: Answer): string {
  if (answer.type === 'answered')
    return answer.other === undefined ? 'answers' : 'answers, from two addresses'
  if (answer.type === 'refused')
    return `refuses${answer.code === undefined ? '' : ` with error ${answer.code}`}`
  return answer.type === 'implausible' ? 'gives an answer that cannot be' : 'does not answer'
}

function familyRow(what: string, report: FamilyReport | undefined): Row {
  if (report === undefined) return { what, state: 'skipped', detail: 'no server can be asked' }
  if (report.reflexive.length === 0) {
    return { what, state: 'warn', detail: 'blocked: no server answers', advice: Blocked }
  }
  const { mapping, filtering, reflexive } = report
  const name = natName(mapping, filtering)
  const seen = reflexive.map(formatSocketAddress)
  const facts = { name, mapping, filtering, seen: seen.join(' ') }
  return { what, state: 'ok', detail: `${name}, seen at ${seen.join(' ')}`, facts }
}
