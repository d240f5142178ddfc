package import CyxCore
package import CyxTransport

/// Kademlia's k-buckets (Maymounkov and Mazières 2002, §2.2, §4.1): a contact that has answered
/// stays while it lives, newcomers wait in the bucket's replacement cache, and nobody is told of a
/// contact that has not answered this peer.
package struct RoutingTable: Sendable {
    struct Slot: Sendable {
        var contact: PeerContact
        var lastAnswer: Instant
        /// A hash of the declared zone; 0: none is known.
        var zone: UInt32
        var failures: UInt8 = 0
        var isVerified: Bool
    }

    struct Bucket: Sendable {
        var slots: [Slot] = []
        var waiting: [Slot] = []
        var refreshed: Instant
    }

    package let local: PeerID
    package let parameters: KademliaParameters
    /// As many as are in use: a network of n peers fills about log2(n / k) of 256.
    private(set) var buckets: [Bucket] = []
    private let created: Instant

    package init(local: PeerID, parameters: KademliaParameters = .init(), now: Instant) {
        self.local = local
        self.parameters = parameters
        created = now
    }

    package var count: Int { buckets.reduce(0) { $0 + $1.slots.count } }

    private static let bucketCount = 256

    private func bucketIndex(_ peer: PeerID) -> Int {
        min(Self.bucketCount - 1, (local.digest ^ peer.digest).leadingZeroBitCount)
    }

    // MARK: Diversity

    /// Whether the networks of a table leave room for `address` in `bucket`.
    private func isAllowed(_ address: SocketAddress, inBucket index: Int) -> Bool {
        guard parameters.diversity == .networks else { return true }
        let limits = parameters.diversityLimits
        let (narrow, wide) = (address.narrowNetwork, address.wideNetwork)
        var inTable = (narrow: 0, wide: 0)
        var inBucket = (narrow: 0, wide: 0)
        for (number, bucket) in buckets.enumerated() {
            for slot in bucket.slots {
                let isNarrow = slot.contact.address.narrowNetwork == narrow
                let isWide = wide != nil && slot.contact.address.wideNetwork == wide
                guard isNarrow || isWide else { continue }
                if isNarrow { inTable.narrow += 1 }
                if isWide { inTable.wide += 1 }
                guard number == index else { continue }
                if isNarrow { inBucket.narrow += 1 }
                if isWide { inBucket.wide += 1 }
            }
        }
        return inBucket.narrow < limits.bucket && inTable.narrow < limits.table
            && inBucket.wide < limits.bucket * limits.wideFactor
            && inTable.wide < limits.table * limits.wideFactor
    }

    /// Whether one network's newcomers leave room for others in a replacement cache. What comes out
    /// of it must be allowed in the table too.
    private func mayWait(_ address: SocketAddress, inBucket index: Int) -> Bool {
        guard parameters.diversity == .networks else { return true }
        let narrow = address.narrowNetwork
        let waiting = buckets[index].waiting.count { $0.contact.address.narrowNetwork == narrow }
        return waiting < parameters.diversityLimits.bucket
    }

    /// In a full bucket, the place of the newest contact of the zone that holds most of it, if that
    /// is over its share and `zone` below.
    private func crowdedPlace(for zone: UInt32, in bucket: Bucket) -> Int? {
        guard parameters.diversity == .zones, zone != 0 else { return nil }
        let limit = parameters.diversityLimits.bucket
        guard bucket.slots.count(where: { $0.zone == zone }) < limit else { return nil }
        var counts: [UInt32: Int] = [:]
        var crowded: (place: Int, count: Int)?
        for (place, slot) in bucket.slots.enumerated() where slot.zone != 0 {
            counts[slot.zone, default: 0] += 1
            let count = counts[slot.zone, default: 0]
            if count > limit, count >= crowded?.count ?? 0 { crowded = (place, count) }
        }
        return crowded?.place
    }

    static func zoneHash(_ zone: String) -> UInt32 {
        guard !zone.isEmpty else { return 0 }
        // FNV-1a; a collision only makes two zones share a share.
        return zone.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    // MARK: Contacts that come and go

    /// A contact was heard of (`answered` false) or has answered a request of this peer. Returns
    /// the contact to ping, if a full bucket holds one whose death would make room.
    @discardableResult
    package mutating func insert(
        _ contact: PeerContact, zone: String = "", answered: Bool, now: Instant
    ) -> PeerContact? {
        guard contact.peer != local else { return nil }
        let index = bucketIndex(contact.peer)
        while buckets.count <= index { buckets.append(Bucket(refreshed: created)) }
        let zone = Self.zoneHash(zone)
        if let place = buckets[index].slots.firstIndex(where: { $0.contact.peer == contact.peer }) {
            if zone != 0 { buckets[index].slots[place].zone = zone }
            if answered { renew(place, inBucket: index, contact: contact, now: now) }
            return nil
        }
        let slot = Slot(contact: contact, lastAnswer: now, zone: zone, isVerified: answered)
        if let place = buckets[index].waiting.firstIndex(where: {
            $0.contact.peer == contact.peer
        }) {
            buckets[index].waiting.remove(at: place)
        }
        guard buckets[index].slots.count >= parameters.bucketSize else {
            if isAllowed(contact.address, inBucket: index) { buckets[index].slots.append(slot) }
            return nil
        }
        guard mayWait(contact.address, inBucket: index) else { return nil }
        if answered, let place = crowdedPlace(for: zone, in: buckets[index]) {
            let former = buckets[index].slots.remove(at: place)
            buckets[index].slots.append(slot)
            wait(former, inBucket: index)
            return nil
        }
        wait(slot, inBucket: index)
        return buckets[index].slots.first?.contact
    }

    /// A contact answered: it moves to the end of its bucket, where the latest are. An address that
    /// its bucket's diversity would not admit is not taken over.
    private mutating func renew(
        _ place: Int, inBucket index: Int, contact: PeerContact, now: Instant
    ) {
        var slot = buckets[index].slots.remove(at: place)
        if slot.contact.address == contact.address || isAllowed(contact.address, inBucket: index) {
            slot.contact = contact
        }
        slot.isVerified = true
        slot.failures = 0
        slot.lastAnswer = now
        buckets[index].slots.append(slot)
    }

    private mutating func wait(_ slot: Slot, inBucket index: Int) {
        if buckets[index].waiting.count >= parameters.bucketSize {
            buckets[index].waiting.removeFirst()
        }
        buckets[index].waiting.append(slot)
    }

    /// A request to `peer` had no answer; a contact that fails repeatedly is replaced.
    package mutating func failed(_ peer: PeerID) {
        let index = bucketIndex(peer)
        guard index < buckets.count,
            let place = buckets[index].slots.firstIndex(where: { $0.contact.peer == peer })
        else { return }
        buckets[index].slots[place].failures += 1
        buckets[index].slots[place].isVerified = false
        if Int(buckets[index].slots[place].failures) >= parameters.failureLimit { remove(peer) }
    }

    /// Takes a contact out, for a waiting one if there is any.
    package mutating func remove(_ peer: PeerID) {
        let index = bucketIndex(peer)
        guard index < buckets.count else { return }
        buckets[index].waiting.removeAll { $0.contact.peer == peer }
        let before = buckets[index].slots.count
        buckets[index].slots.removeAll { $0.contact.peer == peer }
        guard buckets[index].slots.count < before else { return }
        // The latest comer is the likeliest to be alive. Time has passed since it was heard of, so
        // it answers again before others are told of it.
        while var next = buckets[index].waiting.popLast() {
            guard isAllowed(next.contact.address, inBucket: index) else { continue }
            next.isVerified = false
            buckets[index].slots.append(next)
            return
        }
    }

    // MARK: Upkeep

    /// Buckets up to the deepest that ever held a contact.
    package var bucketsInUse: Int { buckets.count }

    /// The contact of a bucket that has not answered for longest.
    package func longestSilent(inBucket index: Int) -> PeerContact? {
        buckets[index].slots.first?.contact
    }

    /// Contacts to ping: those that nobody is told of before they answer, then those that have not
    /// answered since `limit`, longest first.
    package func contactsToCheck(silentSince limit: Instant, count: Int) -> [PeerContact] {
        var found: [PeerContact] = []
        for bucket in buckets {
            for slot in bucket.slots where !slot.isVerified {
                if found.count == count { return found }
                found.append(slot.contact)
            }
        }
        var silent: [(since: Instant, contact: PeerContact)] = []
        for bucket in buckets {
            for slot in bucket.slots where slot.isVerified && slot.lastAnswer < limit {
                silent.append((slot.lastAnswer, slot.contact))
            }
        }
        silent.sort { $0.since < $1.since }
        return found + silent.prefix(count - found.count).map(\.contact)
    }

    /// A random target in the bucket that was refreshed longest ago, if that is before `limit`;
    /// marks it refreshed. Only buckets up to one past the deepest in use count.
    package mutating func refreshTarget(
        before limit: Instant, now: Instant, using generator: inout SeededGenerator
    ) -> Digest? {
        let deepest = buckets.lastIndex { !$0.slots.isEmpty } ?? 0
        let last = min(Self.bucketCount - 1, deepest + 1)
        while buckets.count <= last { buckets.append(Bucket(refreshed: created)) }
        var oldest: Int?
        for index in 0...last where buckets[index].refreshed < limit {
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
