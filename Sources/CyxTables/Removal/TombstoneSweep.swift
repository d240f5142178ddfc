internal import CyxCore

/// Since when this peer has seen which registers deleted (a machine). Of its own life alone: a peer
/// that starts anew waits anew, and needs no clock that others share.
struct TombstoneSweep {
    struct Tombstone: Hashable, Sendable {
        /// The row's key in the store.
        var key: [UInt8]
        var ballot: RegisterVersion
    }

    private struct Sighting {
        var ballot: RegisterVersion
        var since: Instant
        var pass: UInt64
    }

    /// Deleted registers that are waited for at once; further ones have their turn when those are
    /// gone.
    static let sightingsMax = 16_384
    /// How often all rows are walked while one tombstone comes of age.
    static let passesPerAge = 4
    /// Rows of one page of the walk, and the pause after it.
    static let pageRows = 256
    static let pagePause = Duration.milliseconds(20)

    private var sightings: [[UInt8]: Sighting] = [:]
    private var pass: UInt64 = 0

    mutating func beginPass() { pass += 1 }

    /// Notes that a tombstone is there; returns whether the register has been deleted under that
    /// ballot for so long.
    mutating func see(_ tombstone: Tombstone, now: Instant, age: Duration) -> Bool {
        if let known = sightings[tombstone.key], known.ballot == tombstone.ballot {
            sightings[tombstone.key]?.pass = pass
            return now - known.since >= age
        }
        guard sightings[tombstone.key] != nil || sightings.count < TombstoneSweep.sightingsMax
        else { return false }
        sightings[tombstone.key] = Sighting(ballot: tombstone.ballot, since: now, pass: pass)
        return age <= .zero
    }

    /// Forgets what this pass has not come upon.
    mutating func endPass() { sightings = sightings.filter { $0.value.pass == pass } }
}
