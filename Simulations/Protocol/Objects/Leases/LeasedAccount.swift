import CyxCore
import CyxCrypto
import CyxObjects
import CyxStorage
import CyxTables
import SimulationHarness

/// An account with a lease in a world of objects, beside the one that clients use: a gateway of its own
/// which stores a few objects, and then renews the lease for as long as it runs.
///
/// The disks say until when the account has its data kept, and what holders deleted for its end. A
/// holder goes by what it read at a quorum a while before at most, so that whatever a quorum of disks
/// said for longer than that binds it.
struct LeasedAccount {
    static let seed = [UInt8](repeating: 43, count: 32)
    static let length = Duration.seconds(3)
    private static let bucket = "leased"
    private static let sizes = [2_000, 20_000, 60_000]

    /// When a quorum of disks was first seen to have the lease until then.
    private struct Renewal {
        var seen: WallTime
        var until: WallTime
    }

    private struct Mark: Hashable {
        var peer: PeerID
        var segment: SegmentID
        var since: WallTime
    }

    let peer: ObjectPeer
    private let world: ObjectWorld
    private let clients: ObjectClients
    private var generator: SeededGenerator
    private var bodies: [String: [UInt8]] = [:]
    /// Where its objects lie, as of the last time that its gateway was asked.
    private(set) var segments: [SegmentPlacement] = []
    private var renewals: [Renewal] = []
    private var marks: Set<Mark> = []
    private var backAt: Instant?
    private var nextCrash: Instant
    private(set) var crashes = 0

    init(world: ObjectWorld, clients: ObjectClients) {
        self.world = world
        self.clients = clients
        generator = world.world.generator()
        nextCrash = world.world.now
        peer = world.addPeer(storing: false, leased: true)
    }

    var now: WallTime { peer.machine.environment.wallTime() }
    private var grace: Duration { world.timings.leases.grace }

    /// When holders may begin to delete what the account stored, as far as a quorum has said.
    var end: WallTime { (renewals.last?.until ?? now) + grace }

    /// Whether the lease was over at some time up to now, since nothing got through to renew it.
    private(set) var hasLapsed = false

    // MARK: Its gateway

    /// Stores what the account has; false if that was not possible.
    mutating func begin() -> Bool {
        for (number, size) in Self.sizes.enumerated() {
            let write = ObjectRecords.Write(key: 1 << 20, value: number)
            bodies["leased/\(number)"] = ObjectRecords.bytes(write, count: size)
        }
        let bodies = bodies.sorted { $0.key < $1.key }
        let isDone = attempt(limit: .seconds(20)) { gateway in
            _ = try await gateway.createBucket(Self.bucket)
            for (name, body) in bodies {
                _ = try await gateway.put(
                    name, in: Self.bucket, options: PutOptions(), body: FixedBytes(body))
            }
        }
        return isDone && locate()
    }

    /// Asks its gateway where everything lies; false if it could not tell.
    mutating func locate() -> Bool {
        let names = bodies.keys.sorted()
        var found: [SegmentPlacement]?
        if let gateway = peer.gateway {
            let task = world.world.spawn(peer.machine) {
                var all: [SegmentPlacement] = []
                for name in names {
                    all += try await gateway.placement(of: name, in: Self.bucket)
                }
                return all
            }
            world.world.run(limit: .seconds(10)) { task.result != nil }
            if case .success(let all)? = task.result { found = all }
        }
        guard let found else { return false }
        segments = found
        world.setLeased(Set(found.map(\.segment)))
        return true
    }

    /// Names of objects that cannot be read as they were put.
    func unread(limit: Duration) -> [String] {
        let deadline = world.world.now + limit
        var open = bodies.sorted { $0.key < $1.key }[...]
        while let (name, body) = open.first, world.world.now < deadline {
            let isRead = attempt(limit: .seconds(5)) { gateway in
                var source = try await gateway.get(name, in: Self.bucket, range: .whole).source
                var bytes: [UInt8] = []
                while let next = try await source.next() { bytes += next }
                guard bytes == body else { throw ObjectError.dataLost("other bytes") }
            }
            if isRead { open = open.dropFirst() }
        }
        return open.map(\.key)
    }

    private func attempt(
        limit: Duration, _ body: @escaping @Sendable (ObjectGateway) async throws -> Void
    ) -> Bool {
        guard let gateway = peer.gateway else {
            world.world.run(for: .milliseconds(100))
            return false
        }
        let task = world.world.spawn(peer.machine) { try await body(gateway) }
        world.world.run(limit: limit) { task.result != nil }
        if case .success? = task.result { return true }
        world.world.run(for: .milliseconds(100))
        return false
    }

    /// Ends its gateway, and with it the renewals, at least until `start`.
    mutating func stop() {
        backAt = nil
        if peer.isUp { world.crash(peer) }
    }

    mutating func start() {
        backAt = nil
        if !peer.isUp { peer.machine.restart() }
        world.world.run(limit: .seconds(2)) { peer.gateway != nil }
    }

    /// Its gateway crashes now and then, for less than its lease.
    mutating func step() {
        look()
        if let backAt, backAt <= world.world.now { start() }
        guard backAt == nil, nextCrash <= world.world.now, peer.isUp else { return }
        nextCrash =
            world.world.now + .milliseconds(Int64.random(in: 1000...6000, using: &generator))
        guard Bool.random(using: &generator) else { return }
        crashes += 1
        stop()
        backAt = world.world.now + .milliseconds(Int64.random(in: 100...1200, using: &generator))
    }

    /// How long before holders purge what they deleted its gateway is back; nil: it never is.
    mutating func drawReturn() -> Duration? {
        guard Bool.random(using: &generator) else { return nil }
        return .milliseconds(Int64.random(in: 0...2000, using: &generator))
    }

    // MARK: Disks

    /// Takes in what the disks say, and holds against it whatever was deleted since the last look.
    mutating func look() {
        if let until = leaseOnDisks(), until > renewals.last?.until ?? WallTime(milliseconds: 0) {
            hasLapsed = hasLapsed || !renewals.isEmpty && now > end
            renewals.append(Renewal(seen: now, until: until))
        }
        for peer in world.peers where peer.isStoring && !peer.isGone {
            for mark in Self.marks(on: peer) where marks.insert(mark).inserted { judge(mark) }
        }
    }

    private func judge(_ mark: Mark) {
        let before = mark.since - world.leaseMemory
        let known = renewals.last { $0.seen <= before } ?? renewals.first
        clients.with { records in
            records.check("LeaseKept")
            records.count("segments deleted after a lease")
            guard let known, mark.since <= known.until + grace else { return }
            records.violate(
                "LeaseKept",
                "\(mark.peer) deleted \(mark.segment) at \(mark.since.rfc3339), and its lease ends at "
                    + known.until.rfc3339)
        }
    }

    /// When the first of what holders deleted since `time` was deleted.
    func firstDeletion(since time: WallTime) -> WallTime? {
        marks.map(\.since).filter { $0 >= time }.min()
    }

    /// Whether something of the account lies in a holder's trash.
    var isInTrash: Bool {
        world.peers.contains { $0.isStoring && !$0.isGone && !Self.marks(on: $0).isEmpty }
    }

    /// Of which segments not every shard is on a disk, and not in its trash.
    func incomplete() -> [SegmentID] {
        segments.filter { placement in
            !placement.holders.isEmpty
                && (0..<placement.code.shards).contains { index in
                    !world.peers.contains {
                        $0.isStoring && !$0.isGone && $0.holds(placement.segment, index)
                    }
                }
        }.map(\.segment)
    }

    /// Until when most custodians' disks have the lease.
    private func leaseOnDisks() -> WallTime? {
        let key = ObjectRows.lease(AccountKeys(seed: Self.seed).account)
        let bytes = StorageKey.row(key)
        var found: [WallTime: Int] = [:]
        for peer in world.peers where peer.isStoring && !peer.isGone {
            guard let row = peer.machine.disk.value(of: bytes, in: "tables") else { continue }
            do {
                guard
                    case .register(let record) = try StoredRow(table: key.table, bytes: row).content,
                    let value = record.value
                else { continue }
                let lease = try LeaseRow(protobuf: try SignedRow(protobuf: value).payload)
                found[WallTime(milliseconds: lease.untilMs), default: 0] += 1
            } catch { continue }
        }
        return found.filter { $0.value >= ObjectWorld.quorum }.keys.max()
    }

    /// What lies in a peer's trash since a lease's end: the rows there end with the time and the reason.
    private static func marks(on peer: ObjectPeer) -> [Mark] {
        peer.machine.disk.entries(in: "shards", ([0x03], [0x04])).compactMap { key, value in
            guard key.count > 33, let digest = Digest(bytes: Array(key[1..<33])),
                value.count > 9, value.last == TrashReason.lapsed.rawValue
            else { return nil }
            let time = value.suffix(9).dropLast().reduce(0) { $0 << 8 | UInt64($1) }
            return Mark(
                peer: peer.id, segment: SegmentID(digest),
                since: WallTime(milliseconds: Int64(bitPattern: time)))
        }
    }
}

extension WallTime {
    fileprivate static func + (time: WallTime, length: Duration) -> WallTime {
        WallTime(milliseconds: time.milliseconds + length.nanoseconds / 1_000_000)
    }

    fileprivate static func - (time: WallTime, length: Duration) -> WallTime {
        WallTime(milliseconds: time.milliseconds - length.nanoseconds / 1_000_000)
    }
}
