import { weakenedSuite } from './suite.js'
import { chat } from './tables/chat.js'
import { input } from './tables/input.js'
import { path } from './tables/path.js'
import { relay } from './tables/relay.js'
import { portMapping } from './tables/router.js'

weakenedSuite({ path, 'port mapping': portMapping, relay, input, chat })
