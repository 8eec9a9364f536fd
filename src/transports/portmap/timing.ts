import type { PortMappingProtocol } from './port-mapper-events.js'

/**
 * How long each request is waited for, in ms. The RFCs begin with 3 s and 250 ms and go on for minutes; a room
 * opens now, and a router on the same network answers within milliseconds or not at all.
 */
export const WaitsMs: Readonly<Record<PortMappingProtocol, readonly number[]>> = {
  pcp: [250, 500],
  'nat-pmp': [250, 500, 1000],
}
export const RestMs = 180_000
export const MaxRestMs = 1_800_000
/** How often a router is asked for its epoch: a restart that it does not announce is noticed then. */
export const ProbeMs = 60_000
/** RFC 6887 section 14.1.3: so that a network's machines do not all ask at once. */
export const AnnouncementSpreadMs = 5000
export const MaxLifetimeMs = 86_400_000
