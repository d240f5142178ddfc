internal import CyxCore

/// Who waits for which reading of buckets' changes (a machine): listings of one bucket share a reading,
/// but never one that began before they did.
struct ListingFlights {
    enum Turn {
        /// Read, for others too: those that `begin` gives.
        case lead
        case told(Result<Void, any Error>)
        /// Whoever read was cancelled.
        case again
    }

    struct Waiter {
        var needsVersions: Bool
        var continuation: UnsafeContinuation<Turn, Never>
    }

    /// Who waits for the next reading, by bucket; an entry for each bucket that is being read.
    private var waiting: [Digest: [Waiter]] = [:]

    /// Takes the lead if nobody reads that bucket.
    mutating func take(_ bucket: Digest) -> Bool {
        guard waiting[bucket] == nil else { return false }
        waiting[bucket] = []
        return true
    }

    mutating func wait(_ bucket: Digest, _ waiter: Waiter) {
        waiting[bucket]?.append(waiter)
    }

    /// A reading begins: those who came before it.
    mutating func begin(_ bucket: Digest) -> [Waiter] {
        let others = waiting[bucket] ?? []
        waiting[bucket] = []
        return others
    }

    /// It has ended; returns who reads next.
    mutating func end(_ bucket: Digest) -> Waiter? {
        guard var next = waiting[bucket], !next.isEmpty else {
            waiting[bucket] = nil
            return nil
        }
        let first = next.removeFirst()
        waiting[bucket] = next
        return first
    }
}
