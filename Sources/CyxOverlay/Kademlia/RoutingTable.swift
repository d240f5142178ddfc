package import CyxCore
package import CyxTransport

/// The bounds of the routing table and of lookups (architecture §7).
package struct KademliaParameters: Sendable {
    /// k: contacts of a bucket and results of a lookup.
    package var bucketSize = 20
    /// Contacts in one answer: more than k, so that the k closest that live are found although some
    /// of the closest have died unnoticed.
    package var answerSize = 40
    /// α: requests in flight at first, and at most.
    package var concurrency = (least: 3, most: 10)
    /// Contacts of one diversity group in one bucket and in the whole table. A group is a /24 in
    /// open networks, the declared zone in private ones; contacts without one are not limited.
    package var groupLimit = (bucket: 2, table: 10)
    /// Failures in a row after which a contact makes room.
    package var failureLimit = 2
    /// Requests of one lookup.
    package var lookupRequests = 200
    package init() {}
}

/// Kademlia's k-buckets (Maymounkov and Mazières 2002, §2.2, §4.1): a contact that has answered
/// stays while it lives, newcomers wait in the bucket's replacement cache, and nobody is told of a
/// contact that has not answered this peer.
package struct RoutingTable: Sendable {
    private struct Slot: Sendable {
        var contact: PeerContact
        var group: UInt64?
        var isVerified: Bool
        var failures = 0
        var lastAnswer: Instant
    }

    private struct Bucket: Sendable {
        var slots: [Slot] = []
        var waiting: [Slot] = []
        var refreshed: Instant
    }

    package let local: PeerID
    package let parameters: KademliaParameters
    private var buckets: [Bucket]

    package init(local: PeerID, parameters: KademliaParameters = .init(), now: Instant) {
        self.local = local
        self.parameters = parameters
        buckets = [Bucket](repeating: Bucket(refreshed: now), count: 256)
    }

    package var count: Int { buckets.reduce(0) { $0 + $1.slots.count } }

    private func bucketIndex(_ peer: PeerID) -> Int {
        min(255, (local.digest ^ peer.digest).leadingZeroBitCount)
    }

    private func isAllowed(_ group: UInt64?, in bucket: Bucket) -> Bool {
        guard let group else { return true }
        guard bucket.slots.count(where: { $0.group == group }) < parameters.groupLimit.bucket
        else { return false }
        let inTable = buckets.reduce(0) { $0 + $1.slots.count { $0.group == group } }
        return inTable < parameters.groupLimit.table
    }

    /// A contact was heard of (`answered` false) or has answered a request of this peer. Returns
    /// the contact to ping, if a full bucket holds one whose death would make room.
    @discardableResult
    package mutating func insert(
        _ contact: PeerContact, group: UInt64? = nil, answered: Bool, now: Instant
    ) -> PeerContact? {
        guard contact.peer != local else { return nil }
        let index = bucketIndex(contact.peer)
        if let place = buckets[index].slots.firstIndex(where: { $0.contact.peer == contact.peer }) {
            guard answered else { return nil }
            var slot = buckets[index].slots.remove(at: place)
            slot.contact = contact
            slot.isVerified = true
            slot.failures = 0
            slot.lastAnswer = now
            buckets[index].slots.append(slot)
            return nil
        }
        let slot = Slot(contact: contact, group: group, isVerified: answered, lastAnswer: now)
        buckets[index].waiting.removeAll { $0.contact.peer == contact.peer }
        guard isAllowed(group, in: buckets[index]) else { return nil }
        guard buckets[index].slots.count >= parameters.bucketSize else {
            buckets[index].slots.append(slot)
            return nil
        }
        if buckets[index].waiting.count >= parameters.bucketSize {
            buckets[index].waiting.removeFirst()
        }
        buckets[index].waiting.append(slot)
        return buckets[index].slots.first?.contact
    }

    /// A request to `peer` had no answer; a contact that fails repeatedly is replaced.
    package mutating func failed(_ peer: PeerID) {
        let index = bucketIndex(peer)
        guard let place = buckets[index].slots.firstIndex(where: { $0.contact.peer == peer })
        else { return }
        buckets[index].slots[place].failures += 1
        buckets[index].slots[place].isVerified = false
        if buckets[index].slots[place].failures >= parameters.failureLimit { remove(peer) }
    }

    /// Takes a contact out, for a waiting one if there is any.
    package mutating func remove(_ peer: PeerID) {
        let index = bucketIndex(peer)
        buckets[index].waiting.removeAll { $0.contact.peer == peer }
        let before = buckets[index].slots.count
        buckets[index].slots.removeAll { $0.contact.peer == peer }
        guard buckets[index].slots.count < before else { return }
        // The latest comer is the likeliest to be alive.
        while let next = buckets[index].waiting.popLast() {
            guard isAllowed(next.group, in: buckets[index]) else { continue }
            buckets[index].slots.append(next)
            return
        }
    }

    /// The `count` contacts closest to `target`, closest first; to others only `verified` ones.
    package func closest(
        to target: Digest, count: Int, verifiedOnly: Bool
    ) -> [PeerContact] {
        var found: [(distance: Digest, contact: PeerContact)] = []
        for bucket in buckets {
            for slot in bucket.slots where slot.isVerified || !verifiedOnly {
                found.append((slot.contact.peer.digest ^ target, slot.contact))
            }
        }
        found.sort { $0.distance < $1.distance }
        return found.prefix(count).map(\.contact)
    }

    /// Contacts that have not answered yet, to be pinged before they are told on.
    package func unverified(limit: Int) -> [PeerContact] {
        var found: [PeerContact] = []
        for bucket in buckets {
            for slot in bucket.slots where !slot.isVerified {
                if found.count == limit { return found }
                found.append(slot.contact)
            }
        }
        return found
    }

    /// A random target in the bucket that was refreshed longest ago, if that is before `limit`;
    /// marks it refreshed. Only buckets up to one past the deepest in use count.
    package mutating func refreshTarget(
        before limit: Instant, now: Instant, using generator: inout SeededGenerator
    ) -> Digest? {
        let deepest = buckets.lastIndex { !$0.slots.isEmpty } ?? 0
        var oldest: Int?
        for index in 0...min(255, deepest + 1) where buckets[index].refreshed < limit {
            if let best = oldest, buckets[best].refreshed <= buckets[index].refreshed { continue }
            oldest = index
        }
        guard let oldest else { return nil }
        buckets[oldest].refreshed = now
        return Self.random(inBucket: oldest, of: local.digest, using: &generator)
    }

    /// A random digest that shares exactly `bucket` leading bits with `base`.
    static func random(
        inBucket bucket: Int, of base: Digest, using generator: inout SeededGenerator
    ) -> Digest {
        var words = [generator.next(), generator.next(), generator.next(), generator.next()]
        let own = [base.word0, base.word1, base.word2, base.word3]
        for word in 0..<4 {
            let shared = min(64, max(0, bucket - word * 64))
            let mask: UInt64 = shared == 0 ? 0 : ~0 << UInt64(64 - shared)
            words[word] = own[word] & mask | words[word] & ~mask
            if bucket / 64 == word {
                let bit: UInt64 = 1 << UInt64(63 - bucket % 64)
                words[word] = words[word] & ~bit | ~own[word] & bit
            }
        }
        return Digest(words[0], words[1], words[2], words[3])
    }
}
