import { createHash } from 'node:crypto'
import type { LongTermKey } from '../transports/turn/authentication.js'

/** The key of STUN's long-term credentials (RFC 8489 section 9.2.2), with the MD5 that servers use. */
export const nodeLongTermKey: LongTermKey = (username, realm, password) =>
  createHash('md5').update(`${username}:${realm}:${password}`).digest()
