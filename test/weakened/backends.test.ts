import { bindMissing } from '../servers/bind.js'
import { dhtnodeMissing } from '../servers/dhtnode.js'
import { etcdMissing } from '../servers/etcd.js'
import { unboundMissing } from '../servers/unbound.js'
import { weakenedSuite } from './suite.js'
import { backends } from './tables/backends.js'

/** Why a test's servers cannot be had here: it is left out then, and nothing is shown of it. */
const Missing: Readonly<Record<string, string | undefined>> = {
  'contract/opendht-neighbours.test.ts': dhtnodeMissing,
  'contract/dns-update.test.ts': bindMissing ?? unboundMissing,
  'contract/dns-serve.test.ts': unboundMissing,
  'contract/etcd-neighbours.test.ts': etcdMissing,
}

const isHere = (file: string): boolean => Missing[file] === undefined || process.env['CI'] === 'true'

weakenedSuite({ backends: backends.filter(({ attack: [file] }) => isHere(file)) })
