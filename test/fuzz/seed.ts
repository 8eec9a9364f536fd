/** The same examples in every run; `GONET_SEED=random` looks for new ones, and a failure prints its seed. */
import fc from 'fast-check'

const wanted = process.env['GONET_SEED'] ?? '1'
fc.configureGlobal({
  ...(wanted !== 'random' && { seed: Number(wanted) }),
  // Where a test says how long its examples may be, they are as long: fast-check keeps them short by itself.
  defaultSizeToMaxWhenMaxSpecified: true,
})
