import * as z from 'zod/mini'
import type { Ban } from '../../../room/admission/register.js'
import type { Named } from '../../../room/find-member.js'
import type { AdministrativeAct } from '../../../room/room-machine.js'
import type { ControlRequest } from '../request.js'

export const approve: ControlRequest<Whom> = administer('approve')
export const deny: ControlRequest<Whom> = administer('deny')
export const kick: ControlRequest<Whom> = administer('kick')
export const ban: ControlRequest<Whom> = administer('ban')
export const unban: ControlRequest<Whom> = administer('unban')

/** Those that ask to be let in. */
export const asking: ControlRequest<object> = {
  name: 'asking',
  parameters: z.object({}),
  handle: ({ room }): { readonly asking: readonly Named[] } => ({ asking: room.asking }),
}

/** Those that are kept out. */
export const bans: ControlRequest<object> = {
  name: 'bans',
  parameters: z.object({}),
  handle: ({ room }): { readonly bans: readonly Ban[] } => ({ bans: room.bans }),
}

interface Whom {
  readonly who: string
}

function administer(act: AdministrativeAct): ControlRequest<Whom> {
  return {
    name: act,
    parameters: z.object({ who: z.string() }),
    handle: ({ room }, { who }): Named => {
      const { name, key } = room.administer(act, who)
      return { name, key }
    },
  }
}
