import CyxCore
import CyxOverlay
import CyxTables
import CyxTransport

/// What keeps IDs that were made for a purpose from getting it; a run may leave parts out.
package enum GrindingDefence: String, CaseIterable, Sendable {
    case none = "no defence"
    /// Another salt every hour, but whoever joins counts at once.
    case salt = "salt only"
    /// Members must have been there for hours, but the salt never changes.
    case age = "age only"
    case all = "salt and age"
}

/// How an attacker tries to have its peers where one victim's data lies.
package enum GrindingAttack: String, CaseIterable, Sendable {
    /// Makes many IDs offline and joins, long before, with those that rank first under what can be
    /// known then.
    case ahead = "made ahead"
    /// Makes new ones as soon as the next hour's salt is known, an hour ahead, and joins with them.
    case chasing = "chasing the salt"
    /// Leaves with what is not among the first now, and comes back under other IDs.
    case rejoining = "rejoining until lucky"

    /// IDs that it tries for each that joins.
    static let triesEach = 400
    /// The same for those that are made anew every hour.
    static let hourlyTriesEach = 20
}

/// Peers of one attacker and everybody else, seen by an honest custodian, hour by hour.
struct GrindingWorld {
    static let hour = Duration.seconds(3600)
    /// Hours between an hour's salt being begun, as far as its makers can know it, and its use.
    static let lead: Int64 = 2

    let partition: Partition
    /// Of the partition, and the ID of the segment.
    var position: Digest { partition.lowerBound }
    let defence: GrindingDefence
    let attack: GrindingAttack
    private(set) var members: [PeerID: Member] = [:]
    private(set) var own: Set<PeerID> = []
    private let honest: [PeerID]
    private var generator: SeededGenerator
    private var hour: Int64 = 100
    private var salt: Digest
    private var nextSalt: Digest

    /// `identities` of `peers` are the attacker's.
    init(
        peers: Int, identities: Int, defence: GrindingDefence, attack: GrindingAttack, seed: UInt64
    ) {
        self.defence = defence
        self.attack = attack
        var generator = SeededGenerator(seed: seed)
        partition = Partition(holding: generator.digest(), depth: 8)
        salt = generator.digest()
        nextSalt = generator.digest()
        honest = (0..<peers - identities).map { _ in PeerID(generator.digest()) }
        self.generator = generator
        for peer in honest { add(peer, joined: Instant(nanoseconds: 0)) }
        let made =
            attack == .ahead
            ? made(identities, each: GrindingAttack.triesEach, for: defence == .age ? salt : nil)
            : (0..<identities).map { _ in PeerID(self.generator.digest()) }
        join(made, at: Instant(nanoseconds: 0))
    }

    var now: Instant { Instant(nanoseconds: 0) + GrindingWorld.hour * Int(hour) }
    /// Who judges: an honest peer that has been there from the beginning.
    var observer: PeerID { honest[0] }
    var share: Double { Double(own.count) / Double(members.count) }
    var snapshot: MembershipSnapshot {
        MembershipSnapshot(localPeer: observer, members: members)
    }

    /// What candidates are ranked under this hour.
    var salts: [PlacementSalt] {
        let unknownUntil = now - GrindingWorld.hour * Int(GrindingWorld.lead)
        switch defence {
        case .none: return []
        case .salt:
            return [PlacementSalt(value: salt, unknownUntil: now + .seconds(3600))]
        case .age, .all: return [PlacementSalt(value: salt, unknownUntil: unknownUntil)]
        }
    }

    mutating func randomHonest(_ count: Int) -> [PeerID] {
        Array(honest.dropFirst().shuffled(using: &generator).prefix(count))
    }

    mutating func randomIndex(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

    mutating func setState(_ state: MemberState, of peer: PeerID) {
        members[peer]?.state = state
        members[peer]?.since = Instant(nanoseconds: 0)
    }

    /// An hour passes; `seated` are places that the attacker has, which it does not give up.
    mutating func advance(seated: Set<PeerID>) {
        hour += 1
        if defence != .age {
            salt = nextSalt
            nextSalt = generator.digest()
        }
        let free = own.subtracting(seated).sorted()
        switch attack {
        case .ahead: break
        case .chasing:
            // Those that it made an hour ago, when this salt showed, are there now that it is used;
            // the others make way for IDs for the next.
            let stale = free.filter { members[$0].map { now - $0.joined > Self.hour } ?? false }
            leave(stale)
            let target = defence == .none ? nil : defence == .age ? salt : nextSalt
            join(made(stale.count, each: GrindingAttack.hourlyTriesEach, for: target), at: now)
        case .rejoining:
            let order = PlacementOrder(salts.first, localSince: Instant(nanoseconds: 0))
            let ranked = order.rank(position: position, members: Array(members.values))
            let lucky = Set(ranked.prefix(9).map(\.peer))
            let unlucky = free.filter { !lucky.contains($0) }
            leave(unlucky)
            join(unlucky.map { _ in PeerID(generator.digest()) }, at: now)
        }
    }

    /// The best of many IDs for the position.
    private mutating func made(_ count: Int, each tries: Int, for salt: Digest?) -> [PeerID] {
        let order = PlacementOrder(
            salt.map { PlacementSalt(value: $0, unknownUntil: Instant(nanoseconds: 0)) },
            localSince: Instant(nanoseconds: 0))
        let all = (0..<count * tries).map { _ in
            let peer = PeerID(generator.digest())
            return (score: order.score(position: position, peer: peer), peer: peer)
        }
        return all.sorted { $0.score > $1.score }.prefix(count).map(\.peer)
    }

    private mutating func join(_ peers: [PeerID], at joined: Instant) {
        for peer in peers {
            own.insert(peer)
            add(peer, joined: joined)
        }
    }

    private mutating func leave(_ peers: [PeerID]) {
        for peer in peers {
            own.remove(peer)
            members[peer] = nil
        }
    }

    private mutating func add(_ peer: PeerID, joined: Instant) {
        let info = MemberInfo(
            contact: PeerContact(
                peer: peer, address: SocketAddress(ipv4: (192, 0, 2, 1), port: 7700)),
            roles: .storage, zone: "", store: StoreID(peer.digest), allocatedBytes: 1 << 40,
            freeBytes: 1 << 40)
        members[peer] = Member(info: info, state: .alive, since: joined, joined: joined)
    }
}
