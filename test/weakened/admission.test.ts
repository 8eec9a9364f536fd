import { weakenedSuite } from './suite.js'
import { admission } from './tables/admission.js'
import { invites } from './tables/invites.js'

weakenedSuite({ invites, admission })
