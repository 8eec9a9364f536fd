import { weakenedSuite } from './suite.js'
import { relay } from './tables/relay.js'

weakenedSuite({ relay })
