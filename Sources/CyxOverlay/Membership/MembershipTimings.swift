/// How fast membership notices and forgets. All scaled by the local health score where Lifeguard
/// says so (Dadgar, Phillips and Currey 2018, §IV).
package struct MembershipTimings: Sendable, Equatable {
    /// Between two probes by one peer.
    package var probeInterval: Duration
    /// After this without an answer, others are asked to probe too.
    package var indirectAfter: Duration
    /// After this without any answer, direct or indirect, the target is suspected.
    package var probeTimeout: Duration
    /// How long a suspicion lasts that `suspicionConfirmations` independent peers share.
    package var suspicionMinimum: Duration
    /// How long it lasts while nobody else shares it.
    package var suspicionMaximum: Duration
    package var gossipInterval: Duration
    /// Between two full comparisons of views with some other member.
    package var syncInterval: Duration
    /// A timer that fires so much too late means that this process is stalled, not its peers.
    package var stallThreshold: Duration
    /// How long a dead or departed member is remembered.
    package var retention: Duration
    /// How long a member is waited for after the maintenance that it announced.
    package var maintenanceGrace: Duration
    /// How long a peer that is told to end says that it is off: mostly it is restarted or upgraded.
    package var restart: Duration
    package var callTimeout: Duration
    /// First and longest pause between attempts to join.
    package var joinBackoff: (first: Duration, longest: Duration)

    package static func == (left: Self, right: Self) -> Bool {
        left.probeInterval == right.probeInterval && left.probeTimeout == right.probeTimeout
            && left.suspicionMinimum == right.suspicionMinimum
            && left.syncInterval == right.syncInterval
    }

    /// For networks over the internet: a silent peer is dead after 6 to 10 s. Who alone thinks others
    /// silent has a minute to find out that it is the silent one, as in the paper (α = 5 and β = 6
    /// come to 63 s among 128 members). Nobody waits that long for a death that others see too: with
    /// a maximum of 15 s `simulate detection` shows 12 times fewer false positives than plain SWIM
    /// has, with 30 s 23 times, all of them from members whose messages lay for 33 s.
    package static let production = MembershipTimings(
        probeInterval: .seconds(1), indirectAfter: .milliseconds(700), probeTimeout: .seconds(2),
        suspicionMinimum: .seconds(5), suspicionMaximum: .seconds(60),
        gossipInterval: .milliseconds(200), syncInterval: .seconds(20),
        stallThreshold: .milliseconds(500), retention: .seconds(24 * 3600),
        maintenanceGrace: .seconds(600), restart: .seconds(120), callTimeout: .seconds(5),
        joinBackoff: (.seconds(1), .seconds(30)))

    /// For 20 processes on a few busy cores. Death is known about 0.2 s (until somebody's probe
    /// hits) + 0.5 s (probe) + 1.5 s (suspicion that 3 others confirm) after a SIGKILL. A peer
    /// that the scheduler starves for a second is suspected, hears so by gossip and has more than
    /// a second to refute; one that starves itself sees it by its late timers and waits. Who ends by
    /// SIGTERM is waited for at most 5 s: its restart and the grace.
    package static let devnet = MembershipTimings(
        probeInterval: .milliseconds(300), indirectAfter: .milliseconds(200),
        probeTimeout: .milliseconds(500), suspicionMinimum: .milliseconds(1500),
        suspicionMaximum: .milliseconds(4500), gossipInterval: .milliseconds(100),
        syncInterval: .seconds(4), stallThreshold: .milliseconds(150),
        retention: .seconds(24 * 3600), maintenanceGrace: .seconds(2),
        restart: .seconds(3), callTimeout: .seconds(2),
        joinBackoff: (.milliseconds(200), .seconds(3)))
}

/// The bounds of membership.
package enum MembershipLimits {
    /// Members that one comparison may list, and updates that wait to be passed on.
    package static let members = 10_000
    /// Dead and departed members that are kept, the latest ones.
    package static let departed = 2048
    /// Statements and claims in one gossip message.
    package static let batch = 24
    /// Further statements and claims that a message of another may bring.
    package static let receivedBatch = 10_000
    /// Of so many probes, one goes to a member of a large network's sample.
    package static let sampleTurns = 10
    /// How long a member of the sample that was heard from is shown to others.
    package static let hearsay = Duration.seconds(3600)
    /// Lifeguard's S: how unhealthy a peer may think itself.
    package static let health = 8
    /// SWIM's k: peers that probe for another.
    package static let helpers = 3
    package static let suspicionConfirmations = 3
    /// Who must accuse a member, this peer perhaps among them, before it is dead for this peer, and
    /// of how many networks they must be; fewer where there are fewer witnesses.
    package static let deathAccusers = 3
    package static let deathNetworks = 2
    /// Accusers that are remembered of one suspicion.
    package static let accusers = 8
    /// Members that wait to be looked at out of turn.
    package static let checks = 256
    package static let gossipTargets = 3
    /// SWIM's λ: an update is passed on λ·⌈log10(n + 1)⌉ times.
    package static let retransmissions = 4
    /// Records that one synchronization asks for.
    package static let wanted = 4096
    package static let zoneBytes = 64
    /// The longest maintenance that is waited for: B4 rebuilds what was away for a day.
    package static let maintenance = Duration.seconds(24 * 3600)
    /// Relays that a peer's record names.
    package static let relays = 3
}
