import { weakenedSuite } from './suite.js'
import { broker } from './tables/broker.js'
import { machine } from './tables/machine.js'
import { member } from './tables/member.js'

weakenedSuite({ broker, member, machine })
