/** When checks go out, and what their silence means. All in ms. */

/** The gaps between the checks of a candidate that does not answer: at 0, 0.2, 0.5, 1, 2 … 15 s. */
export const RoundGapsMs: readonly number[] = [200, 300, 500, 1000, 1500, 2000, 2500, 3000, 4000]
/** How many routers an opener passes: those of a carrier and a home, and fewer than there are to another home. */
export const OpenerHops = 5
/** How many times what a backend usually takes the peer has to hear of us, before checks go all the way. */
export const OpenerLatencies = 3

/** So many of them go to one that has never answered where there is a direct path: as many as may go there at once. */
export const SilentChecks = 3
/** Who has to wait this long for leave to check has had its fill: the wait is for where nobody ever answered. */
export const StarvedMs = 5000
/** After those, while no path is there: every 15 s, then ever slower, but at least this often. */
export const SlowestRoundMs = 60_000

/** How long the selected path rests between checks while there is traffic. */
export const BusyHeartbeatMs = 3000
/** The same while there is none: the earliest, and how much jitter may add. */
export const IdleHeartbeatMs = 15_000
export const IdleHeartbeatJitterMs = 10_000
/** While the tunnel itself is heard there, an idle path need be checked no more often than this. */
export const HeardHeartbeatMs = 60_000
/** Packets of the tunnel, either way, are counted over this time. */
export const TrafficMs = 5000
/** After so long a silence of the tunnel the next packet has the path checked. */
export const RestMs = 15_000
/** So many are traffic; fewer are what a quiet room says. */
export const BusyPackets = 10
/** So many that were sent while none came have the path looked at, however few there are. */
export const UnansweredPackets = 3
/** A check of the selected path is missed after this time, or twice its round trip; then it is repeated. */
export const MissMs = 500

/** How many misses in a row, and how long a silence with them, make the selected path untrustworthy. */
export const DistrustMisses = 3
export const DistrustSilenceMs = 1500
/** So many misses do it alone: what arrives shows only that the other direction works. */
export const DistrustMissesAlone = 10

/** How long after its first answer an unselected path is measured again, and how often from then on. */
export const SecondAnswerMs = 1000
export const StandbyMs = 25_000
/** The same for one without a NAT on the way, which has no binding to keep. */
export const StandbyWithoutNatMs = 300_000

/** A path that worked once makes room for new ones when the peer has not been heard on it for so long. */
export const ForgottenMs = 60_000

/** A shorter round trip counts from these on: 20 percent and 5 ms. */
export const RttFactor = 0.8
export const RttGainMs = 5

/** How long a response may take. */
export const ResponseMs = 5000
