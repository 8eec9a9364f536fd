import type { LoadedConfig } from './load-config.js'
import type { Config, TurnServerConfig } from './schema.js'

export interface TransportSettings {
  readonly port: number
  readonly stun: readonly string[]
  readonly turn: readonly TurnServerConfig[]
  readonly policy: Config['transport']['policy']
  readonly portMapping: boolean
  readonly loopback: boolean
}

/**
 * What `auto` and the defaults come to. Where every signalling backend is on loopback, so is every peer:
 * loopback addresses are offered, and the default STUN servers, which are public, and the router are left
 * alone. A list that somebody configured stays.
 * @param allLoopback whether every signalling backend in use is on loopback
 */
export function resolveTransport(
  { config, sources }: { readonly config: Pick<Config, 'transport'> } & Pick<LoadedConfig, 'sources'>,
  allLoopback: boolean,
): TransportSettings {
  const { port, stun, turn, policy, portMapping, loopback } = config.transport
  const isDefault = (sources.get('transport.stun')?.layer ?? 'default') === 'default'
  return {
    port,
    stun: policy === 'relay' || (allLoopback && isDefault) ? [] : stun,
    turn: policy === 'direct' ? [] : turn,
    policy,
    portMapping: portMapping && policy !== 'relay' && !allLoopback,
    loopback: loopback === 'auto' ? allLoopback : loopback,
  }
}
