internal import CyxCore

/// Since when this peer has seen which registers deleted, and which merge rows with removed elements
/// unchanged (a machine). Of its own life alone: a peer that starts anew waits anew, and needs no
/// clock that others share.
struct TombstoneSweep {
    struct Tombstone: Hashable, Sendable {
        /// The row's key in the store.
        var key: [UInt8]
        /// Of a register the ballot of its deletion, of a merge row the hash of all of it.
        var version: [UInt8]
    }

    private struct Sighting {
        var version: [UInt8]
        var since: Instant
        var pass: UInt64
    }

    /// Tombstones that are waited for at once; further ones have their turn when those are
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

    /// Notes that a tombstone is there; returns whether it has been for so long, in that version.
    mutating func see(_ tombstone: Tombstone, now: Instant, age: Duration) -> Bool {
        if let known = sightings[tombstone.key], known.version == tombstone.version {
            sightings[tombstone.key]?.pass = pass
            return now - known.since >= age
        }
        guard sightings[tombstone.key] != nil || sightings.count < TombstoneSweep.sightingsMax
        else { return false }
        sightings[tombstone.key] = Sighting(version: tombstone.version, since: now, pass: pass)
        return age <= .zero
    }

    /// Forgets what this pass has not come upon.
    mutating func endPass() { sightings = sightings.filter { $0.value.pass == pass } }
}
