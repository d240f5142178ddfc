/// In which order writers and collectors act (B5). The safe order is the default; tests and
/// simulations reverse one at a time to see that checkers then find a segment that is gone although
/// something refers to it.
package struct CollectionRules: Hashable, Sendable {
    /// Whether a writer refers to a segment before it reads the segment's state, not after.
    package var refersBeforeReadingState = true
    /// Whether a collector condemns a segment before it reads what refers to it, not after.
    package var condemnsBeforeReadingReferences = true

    package init() {}
}

/// How long collection waits.
package struct CollectionTimings: Sendable {
    /// How long a write may take: references older than this whose version is not current are taken
    /// for left behind.
    package var grace: Duration
    /// How long a write that was given up is kept from committing. Nobody can be carrying one out
    /// for so long.
    package var fence: Duration
    /// How many first bits of a position name a part of the key space. A part is looked at as one, so
    /// it lies in one partition.
    package var partBits = 8
    /// Pause of a gateway between two parts.
    package var pause: Duration
    /// How old a finished shard file must be before its holder asks whether anybody knows it.
    package var unregistered: Duration
    /// Pause of a holder after every `HolderCollector.concurrency` questions, and between two walks
    /// over its files.
    package var sweep: (page: Duration, rest: Duration)
    /// How long a segment that was found registered is not asked for again.
    package var recheck: Duration
    /// How long deleted shards stay in the trash.
    package var trash: Duration

    package static let production = CollectionTimings(
        grace: .seconds(24 * 3600), fence: .seconds(7 * 86_400), pause: .seconds(337),
        unregistered: .seconds(24 * 3600), sweep: (.seconds(1), .seconds(24 * 3600)),
        recheck: .seconds(7 * 86_400), trash: .seconds(7 * 86_400))

    package static let devnet = CollectionTimings(
        grace: .seconds(600), fence: .seconds(3600), pause: .milliseconds(250),
        unregistered: .seconds(60), sweep: (.milliseconds(100), .seconds(5)),
        recheck: .seconds(600), trash: .seconds(30))
}
