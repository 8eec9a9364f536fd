/** The same examples in every run; `GONET_SEED=random` looks for new ones, and a failure prints its seed. */
import fc from 'fast-check'

const wanted = process.env['GONET_SEED'] ?? '1'
if (wanted !== 'random') fc.configureGlobal({ seed: Number(wanted) })
