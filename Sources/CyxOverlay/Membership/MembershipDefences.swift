/// What membership has beyond plain SWIM. All of it is on wherever peers run; the comparison of
/// failure detectors (`simulate detection`) and attack tests switch parts off to show what each is
/// good for.
package struct MembershipDefences: OptionSet, Hashable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Lifeguard's LHA-Probe: a peer that has cause to think itself slow probes less often and waits
    /// longer (Dadgar, Phillips and Currey 2018, §IV-A).
    package static let awareness = MembershipDefences(rawValue: 1)
    /// Lifeguard's LHA-Suspicion: suspicions last long until independent peers share them (§IV-B).
    package static let dynamicSuspicion = MembershipDefences(rawValue: 2)
    /// Lifeguard's buddy system: whoever probes a suspected member tells it so (§IV-C).
    package static let buddy = MembershipDefences(rawValue: 4)
    /// A failed probe counts against this peer's own health by the helpers that did not even say no
    /// (§IV-A); without it, by one.
    package static let nacks = MembershipDefences(rawValue: 8)
    /// Timers that fire late postpone what they would decide: this process did not run.
    package static let stallNotice = MembershipDefences(rawValue: 16)
    /// A member is dead for this peer only once several from several networks say so and its own
    /// probe has failed; without it, once one says so, as in SWIM.
    package static let witnesses = MembershipDefences(rawValue: 32)

    package static let plainSWIM: MembershipDefences = []
    package static let lifeguard: MembershipDefences = [
        .awareness, .dynamicSuspicion, .buddy, .nacks,
    ]
    package static let all: MembershipDefences = [.lifeguard, .stallNotice, .witnesses]
}
