import CyxCore
import CyxOverlay
import CyxTransport

/// All peers of a protocol-level run, sorted by ID, and their routing tables.
///
/// Nobody joins: a table is built when its peer is first asked, straight from the sorted IDs, with
/// what a peer holds that has long met others at random: k random contacts of each subtree, all of
/// those that have fewer. It is inserted contact by contact into the real machine, and depends on
/// the seed and the peer alone, so that it makes no difference when it is built or built again.
/// That keeps a million peers within a gigabyte: 40 bytes each, and the tables in use.
struct Population {
    /// Ascending.
    private(set) var ids: [PeerID]
    private var addresses: [UInt32]
    private(set) var isDead: [Bool]
    let parameters: KademliaParameters
    private let seed: UInt64
    private var tables: [Int: RoutingTable] = [:]

    /// Tables kept at once: of a million peers each is about 30 KB.
    private static let tableLimit = 30_000
    private static let start = Instant(nanoseconds: 0)

    /// `honest` random peers beside `others`, which somebody chose; returns where those ended up.
    init(
        honest: Int, deadShare: Double, others: [PeerContact] = [],
        parameters: KademliaParameters, seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        var all: [(id: PeerID, address: UInt32, isDead: Bool)] = []
        all.reserveCapacity(honest + others.count)
        for _ in 0..<honest {
            let isDead = Double.random(in: 0..<1, using: &generator) < deadShare
            all.append((PeerID(generator.digest()), Self.globalAddress(&generator), isDead))
        }
        for other in others {
            all.append((other.peer, UInt32(truncatingIfNeeded: other.address.ip), false))
        }
        all.sort { $0.id.digest < $1.id.digest }
        ids = all.map(\.id)
        addresses = all.map(\.address)
        isDead = all.map(\.isDead)
        self.parameters = parameters
        self.seed = seed
    }

    var count: Int { ids.count }

    private static func globalAddress(_ generator: inout SeededGenerator) -> UInt32 {
        while true {
            let value = UInt32(truncatingIfNeeded: generator.next())
            if SocketAddress(ip: 0xFFFF << 32 | UInt128(value), port: 1).isGlobal { return value }
        }
    }

    func contact(_ index: Int) -> PeerContact {
        let ip = 0xFFFF << 32 | UInt128(addresses[index])
        return PeerContact(peer: ids[index], address: SocketAddress(ip: ip, port: 7700))
    }

    /// Random IDs lie evenly, so that an ID tells about where it is; chosen ones need the search.
    func index(of peer: PeerID) -> Int? {
        let guess = Int(peer.digest.word0.multipliedFullWidth(by: UInt64(count)).high)
        var reach = 8
        while reach < count {
            let low = max(0, guess - reach)
            let high = min(count, guess + reach)
            if low == 0 || ids[low].digest <= peer.digest,
                high == count || ids[high].digest > peer.digest
            {
                return place(of: peer, in: low..<high)
            }
            reach *= 8
        }
        return place(of: peer, in: 0..<count)
    }

    private func place(of peer: PeerID, in range: Range<Int>) -> Int? {
        let index = firstIndex(in: range) { $0.digest >= peer.digest }
        return index < count && ids[index] == peer ? index : nil
    }

    /// The first index of `range` that `holds` accepts, which from there on it must for all.
    private func firstIndex(in range: Range<Int>, _ holds: (PeerID) -> Bool) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if holds(ids[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The peers of `range`, which share `depth` bits, with bit `depth` clear, and those with it set.
    private func halves(_ range: Range<Int>, depth: Int) -> (Range<Int>, Range<Int>) {
        let split = firstIndex(in: range) { Self.bit($0.digest, depth) }
        return (range.lowerBound..<split, split..<range.upperBound)
    }

    private static func bit(_ digest: Digest, _ index: Int) -> Bool {
        let words = SIMD4(digest.word0, digest.word1, digest.word2, digest.word3)
        return words[index >> 6] >> UInt64(63 - index & 63) & 1 == 1
    }

    // MARK: Tables

    mutating func table(of index: Int) -> RoutingTable {
        if let table = tables[index] { return table }
        if tables.count >= Self.tableLimit { tables.removeAll(keepingCapacity: true) }
        let table = build(index)
        tables[index] = table
        return table
    }

    private func build(_ index: Int) -> RoutingTable {
        var generator = SeededGenerator(seed: seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        let own = ids[index]
        var table = RoutingTable(local: own, parameters: parameters, now: Self.start)
        var range = 0..<count
        var depth = 0
        while range.count > 1 {
            let (clear, set) = halves(range, depth: depth)
            let isSet = Self.bit(own.digest, depth)
            fill(&table, from: isSet ? clear : set, &generator)
            range = isSet ? set : clear
            depth += 1
        }
        return table
    }

    /// Lets the peer meet contacts of one subtree in random order, until its bucket is full.
    private func fill(
        _ table: inout RoutingTable, from range: Range<Int>, _ generator: inout SeededGenerator
    ) {
        let size = parameters.bucketSize
        let before = table.count
        if range.count <= size * 8 {
            for index in range.shuffled(using: &generator) where table.count < before + size {
                table.insert(contact(index), answered: true, now: Self.start)
            }
            return
        }
        for _ in 0..<size * 4 where table.count < before + size {
            let index = Int.random(in: range, using: &generator)
            table.insert(contact(index), answered: true, now: Self.start)
        }
    }

    // MARK: Truth

    /// The `number` live peers that are really closest to `target`, closest first.
    func closestLive(to target: Digest, _ number: Int, where counts: (Int) -> Bool) -> [Int] {
        var range = 0..<count
        var depth = 0
        while range.count > number * 16 {
            let (clear, set) = halves(range, depth: depth)
            range = Self.bit(target, depth) ? set : clear
            depth += 1
        }
        // A subtree holds all that are closest once it holds enough; else its parents do.
        let live = range.filter { !isDead[$0] && counts($0) }
        guard live.count >= number || range.count == count else {
            return Array(0..<count).filter { !isDead[$0] && counts($0) }
                .sorted { (ids[$0].digest ^ target) < (ids[$1].digest ^ target) }
                .prefix(number).map { $0 }
        }
        return Array(
            live.sorted { (ids[$0].digest ^ target) < (ids[$1].digest ^ target) }.prefix(number))
    }
}

extension SeededGenerator {
    mutating func digest() -> Digest { Digest(next(), next(), next(), next()) }
}
