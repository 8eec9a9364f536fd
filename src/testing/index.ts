/** gonet/testing: the suite that every signalling adapter passes, for authors of adapters. */
export type { AdapterContext, AdapterDefinition } from '../adapters/adapter-definition.js'
export type { Clock, Logger, Random } from '../core/ports.js'
export type {
  AdapterState,
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from '../core/signalling-adapter.js'
export type { AdapterFixture, AdapterInstance, AdapterSuite, TestRunner } from './adapter-suite.js'
export { testSignallingAdapter } from './suite.js'
export { testContext } from './test-context.js'
