/** Every request of the control socket. One more is a file beside this one, and a line here. */
import { UsageError } from '../../../core/errors.js'
import type { AnyRequest, ControlRequest } from '../request.js'
import { approve, asking, ban, bans, deny, kick, unban } from './administer.js'
import { chat } from './chat.js'
import { invite, invites, revokeInvite } from './invites.js'
import { leave } from './leave.js'
import { members } from './members.js'
import { namespace } from './namespace.js'
import { ping } from './ping.js'
import { send } from './send.js'
import { status } from './status.js'

export const requests: ReadonlyMap<string, AnyRequest> = new Map(
  [
    checked(approve),
    checked(asking),
    checked(ban),
    checked(bans),
    checked(chat),
    checked(deny),
    checked(kick),
    checked(invite),
    checked(invites),
    checked(leave),
    checked(members),
    checked(namespace),
    checked(ping),
    checked(revokeInvite),
    checked(send),
    checked(status),
    checked(unban),
  ].map((request) => [request.name, request]),
)

function checked<Parameters>(request: ControlRequest<Parameters>): AnyRequest {
  const { name, parameters } = request
  return {
    name,
    run: (context, given) => {
      const { success, data, error } = parameters.safeParse(given)
      if (success) return request.handle(context, data)
      const problems = error.issues.slice(0, 5).map(({ path, message }) => `${path.join('.')}: ${message}`)
      throw new UsageError('request-invalid', `The parameters of ${name} are wrong: ${problems.join('; ')}`)
    },
  }
}
