import { weakenedSuite } from './suite.js'
import { flood } from './tables/flood.js'

weakenedSuite({ flood })
