/** What a running room tells its user: the objects of `--json` (docs/cli.md), typed. */
export type RoomEvent =
  | {
      readonly event: 'room'
      readonly room: string
      readonly key: string
      /** A link without secrets; none where the room is entered by invite only. */
      readonly invite?: string
      readonly address: string
    }
  | {
      readonly event: 'signalling'
      readonly adapter: string
      readonly state: 'up' | 'down'
      readonly reason?: string
    }
  | { readonly event: 'joined'; readonly room: string; readonly address: string; readonly host: string }
  | {
      readonly event: 'member'
      readonly state: 'joined' | 'left'
      readonly name: string
      readonly address: string
      readonly key: string
      /** Another member's name that this one's can be taken for. */
      readonly looksLike?: string
    }
  | {
      readonly event: 'path'
      readonly member: string
      readonly kind: PathKind
      readonly remote: string
      readonly rttMs: number
    }
  | {
      readonly event: 'message'
      readonly from: string
      readonly address: string
      readonly text: string
      readonly id: string
      readonly late?: true
    }
  /** Somebody asks the host to be let in. */
  | {
      readonly event: 'asks'
      readonly name: string
      readonly key: string
      readonly remote: string
      readonly looksLike?: string
    }
  /** The guest is not in yet: the host's user is asked. */
  | { readonly event: 'waiting'; readonly for: 'approval' }
  | { readonly event: 'delivered'; readonly id: string }
  | { readonly event: 'refused'; readonly code: string; readonly message: string }
  | { readonly event: 'error'; readonly code: string; readonly message: string }
  /** Something to look at; nothing has failed. */
  | { readonly event: 'warning'; readonly code: string; readonly message: string }
  | { readonly event: 'left' }

/** The kind of a path's remote candidate (RFC 8445), and gonet's own: mapped, predicted, relay by a member. */
export type PathKind = 'host' | 'srflx' | 'prflx' | 'mapped' | 'predicted' | 'relay' | 'member'

/** A message of somebody else. */
export type MessageEvent = Extract<RoomEvent, { readonly event: 'message' }>
