import { weakenedSuite } from './suite.js'
import { admission } from './tables/admission.js'

weakenedSuite({ admission })
