import CyxCore
package import CyxOverlay

/// One run of Lifeguard's interval experiment (Dadgar, Phillips and Currey 2018, §V): some members
/// process messages only between blocks of some length, all at the same times; one of the others
/// really dies. Whoever else is held dead is a false positive.
package struct DetectionExperiment: Sendable, Equatable {
    /// What a slow member's block stops.
    package enum Block: Sendable {
        /// What it receives waits before it is handled, what it sends waits before it goes out;
        /// its timers run. The paper's.
        case messages
        /// Its timers too: the whole process does not run.
        case process
    }

    package var peers = 128
    /// The paper's C.
    package var slow: Int
    /// The paper's D, in milliseconds.
    package var blocked: Int
    /// The paper's I: how long slow members work between two blocks, in milliseconds.
    package var interval: Int
    package var block = Block.messages
    package var defences = MembershipDefences.all
    package var timings = MembershipTimings.production
    package var seed: UInt64

    package init(slow: Int, blocked: Int, interval: Int, seed: UInt64) {
        self.slow = slow
        self.blocked = blocked
        self.interval = interval
        self.seed = seed
    }

    private static let second: Int64 = 1_000_000_000
    /// Until everybody's statement has been passed on often enough.
    static let start = 20 * second
    /// The paper's runs last two minutes.
    static let slowEnd = start + 120 * second
    static let end = slowEnd + 60 * second
    /// When a member that is not slow dies.
    static let crash = start + 30 * second

    /// When the block that `time` lies in ends; nil when slow members work then.
    func blockEnd(at time: Int64) -> Int64? {
        let (blocked, interval) = (Int64(blocked) * 1_000_000, Int64(interval) * 1_000_000)
        guard time >= Self.start, time < Self.slowEnd else { return nil }
        let begin = time - (time - Self.start) % (blocked + interval)
        return time < begin + blocked ? begin + blocked : nil
    }
}

/// What one or more runs showed.
package struct DetectionOutcome: Sendable, Equatable {
    /// Times that a member was held dead which was neither slow nor dead: the paper's FP.
    package var falseDeaths = 0
    /// Those at members that were not slow either: the paper's FP-.
    package var falseDeathsAtHealthy = 0
    /// Times that such a member was suspected.
    package var suspicions = 0
    /// Seconds from a member's death until the first other held it dead.
    package var firstDetections: [Double] = []
    /// Seconds from a member's death until all that were not slow held it dead.
    package var disseminations: [Double] = []
    /// Deaths that some member that was not slow did not know of in the end.
    package var missed = 0
    package var messages = 0
    package var bytes = 0
    package var memberSeconds = 0.0
    package var events = 0

    package init() {}

    package mutating func add(_ other: DetectionOutcome) {
        falseDeaths += other.falseDeaths
        falseDeathsAtHealthy += other.falseDeathsAtHealthy
        suspicions += other.suspicions
        firstDetections += other.firstDetections
        disseminations += other.disseminations
        missed += other.missed
        messages += other.messages
        bytes += other.bytes
        memberSeconds += other.memberSeconds
        events += other.events
    }
}
