// What the command costs before it does anything: `gonet --version` in multiples of a bare node.
import { bareStart, gonet, printRatio, printVersions, timeOf } from './measure.mjs'

const Rounds = 25
const Limit = 1.5

printVersions('gonet --version')
const version = () => timeOf(process.execPath, [gonet, '--version'])
version()
const [times, bare] = [[], []]
for (let round = 0; round < Rounds; round++) {
  bare.push(bareStart())
  times.push(version())
}
printRatio('gonet --version', times, bare, Limit)
