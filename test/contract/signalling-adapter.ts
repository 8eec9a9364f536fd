/** The suite of gonet/testing for gonet's own backends, with vitest. */
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest'
import { SignallingError } from '../../src/core/errors.js'
import { type AdapterSuite, testSignallingAdapter as testWith } from '../../src/testing/index.js'

export type { AdapterFixture, AdapterSuite } from '../../src/testing/index.js'

export function testSignallingAdapter(suite: AdapterSuite): void {
  testWith({ errorClass: SignallingError, ...suite }, { describe, it, beforeAll, afterEach, afterAll })
}
