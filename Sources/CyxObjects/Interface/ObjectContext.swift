package import CyxCore
package import CyxOverlay
package import CyxTables
package import CyxTransport

/// What every part of the object layer works with: the peer's environment, its view of the
/// network, its tables, and the way to other peers.
package struct ObjectContext: Sendable {
    package let environment: Environment
    package let messaging: any PeerMessaging
    package let membership: any Membership
    package let tables: any Tables
    package let timings: ObjectTimings
    package let standings: StandingBook
    /// What decides who takes over lost shards; the auditor adds to them.
    package let salts: PlacementSalts
    /// What lets this peer change rows of its gateways' accounts; the tables' guard goes by it.
    package let permits: PermitBook
    /// What the gateways' listings are answered from.
    let listings: ListingStore
    /// The MD5s of bodies on their way in.
    let digests: BodyDigests
    /// What is read again and again.
    let hotChunks: HotChunks
    /// What reads may take of this process's memory.
    package let readMemory: ReadMemory
    /// Accounts' leases, as they were read a while ago.
    let leases = LeaseBook()
    /// The order of collection's steps.
    let collection: CollectionRules
    /// Rules that are not kept: none, except in `simulate object-rules`.
    private let brokenRules: Set<ObjectRule>
    private(set) var client: ShardClient
    let logger: Logger

    /// `cacheBytes`: memory for chunks that gateways are asked for again and again; `readBytes`: for
    /// reads that are under way.
    package init(
        environment: Environment, messaging: any PeerMessaging, membership: any Membership,
        tables: any Tables, timings: ObjectTimings, standings: StandingBook = StandingBook(),
        salts: PlacementSalts = PlacementSalts(), permits: PermitBook = PermitBook(),
        collection: CollectionRules = CollectionRules(), brokenRules: Set<ObjectRule> = [],
        cacheBytes: Int = 0, readBytes: Int = ReadMemory.defaultBytes
    ) {
        self.environment = environment
        self.messaging = messaging
        self.membership = membership
        self.tables = tables
        self.timings = timings
        self.standings = standings
        self.salts = salts
        self.permits = permits
        self.collection = collection
        self.brokenRules = brokenRules
        listings = ListingStore(environment: environment)
        digests = BodyDigests(environment: environment)
        hotChunks = HotChunks(bytes: cacheBytes, metrics: environment.metrics)
        readMemory = ReadMemory(bytes: readBytes, environment: environment)
        client = ShardClient(messaging: messaging, timings: timings)
        logger = environment.logger.labelled("objects")
    }

    /// The same for work that is so urgent: what runs in the background leaves the way to peers to
    /// what somebody waits for.
    func with(_ urgency: CallUrgency) -> ObjectContext {
        var context = self
        context.client.urgency = urgency
        return context
    }

    func keeps(_ rule: ObjectRule) -> Bool { !brokenRules.contains(rule) }

    /// The code that new objects get: the widest that the network can hold now, with more parity
    /// where the measured uptime of its peers calls for it.
    func bestCode() throws(ObjectError) -> Redundancy {
        guard let codes else {
            throw membership.snapshot.storers.isEmpty
                ? .unavailable("no reachable peer stores data")
                : .noSpace("every reachable storage peer is full")
        }
        return codes.best
    }

    /// `base`: without regard to uptimes. Nil when nobody can be given anything.
    package var codes: (base: Redundancy, best: Redundancy)? {
        let storers = candidates(in: membership.snapshot).count
        guard let base = Redundancy.widest(for: storers) else { return nil }
        guard let uptime = standings.uptime else { return (base, base) }
        return (base, base.withParity(forUptime: uptime, storers: storers))
    }

    /// Peers that share what is stored: who is down may come back, who drains or left does not.
    var knownStorers: Int {
        membership.snapshot.members.values.count { member in
            member.info.roles.contains(.storage) && !member.info.isDraining
                && member.state != .left
        }
    }

    /// Peers that may be given shards: neither suspended nor banned.
    func candidates(
        in snapshot: MembershipSnapshot, avoiding: Set<PeerID> = []
    ) -> [Member] {
        let members = Placement.candidates(
            snapshot, avoiding: avoiding.union(standings.peers(atLeast: .suspended)))
        guard !keeps(.capsZones) else { return members }
        return members.map { member in
            var member = member
            member.info.zone = countedZone(member.info.zone)
            return member
        }
    }

    /// The zone that a peer counts for; all peers are in one where zones are not capped.
    func countedZone(_ zone: String) -> String { keeps(.capsZones) ? zone : "" }

    /// In which order candidates take over what was lost.
    func placementOrder(in snapshot: MembershipSnapshot) -> PlacementOrder {
        let start = snapshot.members[snapshot.localPeer]?.joined
        return PlacementOrder(
            salts.recent.first, localSince: start ?? Instant(nanoseconds: 0))
    }

    func reachable() -> Set<PeerID> {
        Set(membership.snapshot.reachable.map(\.peer))
    }
}

extension ObjectError {
    /// What a table's failure means for an object.
    init(_ error: TableError) {
        switch error {
        case .unavailable(let reason): self = .unavailable(reason)
        case .contended: self = .conflict
        case .tooLarge: self = .unavailable("a row is larger than tables take")
        case .rejected(let reason): self = .unavailable("custodians refused a row: \(reason)")
        case .cancelled: self = .cancelled
        }
    }
}

/// Runs `body` and turns what tables throw into what objects throw.
func withTables<Value>(
    _ body: () async throws(TableError) -> Value
) async throws(ObjectError) -> Value {
    do {
        return try await body()
    } catch { throw ObjectError(error) }
}
