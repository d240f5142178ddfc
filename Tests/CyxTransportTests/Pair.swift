import CyxCore
import CyxCrypto

@testable import CyxTransport

/// Randomness of a test, from a seed.
final class SeededSource: RandomSource {
    private nonisolated(unsafe) var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for index in buffer.indices {
            buffer[index] = UInt8(truncatingIfNeeded: generator.next())
        }
    }
}

/// How a simulated link treats datagrams; chances are per mille.
struct LinkFaults {
    var loss: UInt64 = 0
    var duplication: UInt64 = 0
    var corruption: UInt64 = 0
    var delay: Int64 = 5_000_000
    /// Up to this much is added to each datagram's delay, which reorders them.
    var jitter: Int64 = 0
    /// Bytes per second; 0 for a link without a limit. What waits longer than `queueMax` is lost.
    var rate: Int64 = 0
    var queueMax: Int64 = 50_000_000
    /// What waits longer gets the mark of congestion, if it has the mark that allows it.
    var marksAbove: Int64 = .max
    /// What the path makes of a mark.
    var remarks: (ECNCodepoint) -> ECNCodepoint = { $0 }
}

/// Several messaging machines on one virtual network under virtual time.
struct Pair {
    struct Node {
        var machine: MessagingMachine
        var address: SocketAddress
        var isDown = false
        var completed: [CallID: Result<[UInt8], RPCError>] = [:]
        var identified: [CallID: Result<PeerContact, RPCError>] = [:]
        var requests: [(id: RequestID, remote: PeerContact, method: RPCMethod, body: [UInt8])] = []
        /// Answers every request with its own body.
        var echoes = true
        var closed: [CloseReason] = []
        var datagrams: [(remote: PeerContact, bytes: [UInt8])] = []
        var moves: [PeerContact] = []
        var failedMoves: [PeerContact] = []
        var paths: [PathEvent] = []
        var datagramsReceived = 0
        var datagramsSent = 0
    }

    struct Flight {
        var to: SocketAddress
        var from: SocketAddress
        var bytes: [UInt8]
        var ecn = ECNCodepoint.notECT
    }

    var nodes: [Node] = []
    var now: Int64 = 1_000_000_000
    var wall = WallTime(milliseconds: 1_700_000_000_000)
    var faults = LinkFaults()
    /// Addresses at which somebody passes datagrams on, as if they came from another of them.
    var relays: [SocketAddress: (node: Int, source: SocketAddress)] = [:]
    /// Datagrams that went to a virtual address, whose number is that of a node, and came from one.
    var relayed = 0
    /// Sees each datagram before it is sent; false drops it.
    var filter: ((Flight) -> Bool)?
    private var flights = DeadlineHeap<Flight>()
    private var generator: SeededGenerator
    private var nextCall: UInt64 = 0
    private var linkFree: Int64 = 0
    /// Datagrams that the link's queue had no room for, and the longest that one waited in it.
    private(set) var dropped = 0
    private(set) var longestQueue: Int64 = 0
    private let buffer = PacketBuffer(byteCount: 65_507)

    static let networkID = NetworkID(Digest(1, 2, 3, 4))
    /// The key of a private network.
    static let privateKey = [UInt8](repeating: 0x5A, count: 32)

    init(
        count: Int = 2, seed: UInt64 = 1, timings: TransportTimings = .devnet,
        limits: TransportLimits = TransportLimits(), key: [UInt8] = Pair.networkID.bytes,
        configure: (inout TransportConfiguration) -> Void = { _ in }
    ) {
        generator = SeededGenerator(seed: seed)
        for index in 0..<count {
            add(
                identity: UInt8(index + 1), seed: seed &* 1000 &+ UInt64(index), key: key,
                timings: timings, limits: limits, configure: configure)
        }
    }

    static func address(_ index: Int) -> SocketAddress {
        SocketAddress(ipv4: (10, 0, 0, UInt8(index + 1)), port: 7700)
    }

    static func machine(
        identity: UInt8, seed: UInt64, key: [UInt8] = Pair.networkID.bytes,
        timings: TransportTimings = .devnet, limits: TransportLimits = TransportLimits(),
        configure: (inout TransportConfiguration) -> Void = { _ in }
    ) -> MessagingMachine {
        var configuration = TransportConfiguration(
            networkKey: key, networkID: networkID,
            identity: SigningKey(seed: [UInt8](repeating: identity, count: 32)),
            timings: timings, limits: limits)
        configure(&configuration)
        return MessagingMachine(
            endpoint: Endpoint(configuration: configuration, random: SeededSource(seed: seed)))
    }

    mutating func add(
        identity: UInt8, seed: UInt64, key: [UInt8] = Pair.networkID.bytes,
        timings: TransportTimings = .devnet, limits: TransportLimits = TransportLimits(),
        configure: (inout TransportConfiguration) -> Void = { _ in }
    ) {
        let machine = Pair.machine(
            identity: identity, seed: seed, key: key, timings: timings, limits: limits,
            configure: configure)
        nodes.append(Node(machine: machine, address: Pair.address(nodes.count)))
    }

    func peer(_ index: Int) -> PeerID { nodes[index].machine.endpoint.localPeer }

    func contact(_ index: Int) -> PeerContact {
        PeerContact(peer: peer(index), address: nodes[index].address)
    }

    /// Everyone knows everyone's address.
    mutating func introduce() {
        for index in nodes.indices {
            for other in nodes.indices where other != index {
                nodes[index].machine.learn(contact(other))
            }
        }
    }

    mutating func call(
        _ from: Int, _ to: Int, _ body: [UInt8], method: UInt16 = 0x0101,
        urgency: CallUrgency = .foreground, timeout: Duration = .seconds(10)
    ) -> CallID {
        let id = CallID(value: nextCall)
        nextCall += 1
        nodes[from].machine.call(
            id, peer: peer(to), method: RPCMethod(rawValue: method), request: body,
            urgency: urgency, deadline: now + timeout.nanoseconds, wall: wall, now: now)
        settle(from)
        return id
    }

    /// Sends an unreliable datagram.
    mutating func sendDatagram(_ from: Int, _ to: Int, _ bytes: [UInt8]) {
        nodes[from].machine.sendDatagram(to: peer(to), bytes, wall: wall, now: now)
        settle(from)
    }

    mutating func identify(
        _ from: Int, _ address: SocketAddress, timeout: Duration = .seconds(5)
    ) -> CallID {
        let id = CallID(value: nextCall)
        nextCall += 1
        nodes[from].machine.identify(
            id, address: address, deadline: now + timeout.nanoseconds, wall: wall, now: now)
        settle(from)
        return id
    }

    /// A datagram from anywhere.
    mutating func inject(_ bytes: [UInt8], to index: Int, from: SocketAddress) {
        deliver(Flight(to: nodes[index].address, from: from, bytes: bytes))
    }

    private mutating func chance(_ perMille: UInt64) -> Bool {
        perMille > 0 && generator.next() % 1000 < perMille
    }

    /// Takes a node's outputs and sends its packets.
    mutating func settle(_ index: Int) {
        while !nodes[index].machine.outputs.isEmpty {
            let outputs = nodes[index].machine.outputs
            nodes[index].machine.outputs = []
            for output in outputs { take(output, index) }
        }
        while let next = nodes[index].machine.endpoint.pollTransmit(
            into: buffer.bytes, segmentsMax: 46, now: now)
        {
            var start = 0
            while start < next.transmission.byteCount {
                let end = min(start + next.transmission.segmentSize, next.transmission.byteCount)
                let bytes = [UInt8](buffer.bytes[start..<end])
                nodes[index].datagramsSent += 1
                send(
                    Flight(
                        to: next.destination, from: nodes[index].address, bytes: bytes,
                        ecn: next.transmission.ecn))
                start = end
            }
        }
    }

    private mutating func take(_ output: MessagingOutput, _ index: Int) {
        switch output {
        case .completed(let id, let result):
            precondition(nodes[index].completed[id] == nil, "a call completes once")
            nodes[index].completed[id] = result
        case .identified(let id, let result): nodes[index].identified[id] = result
        case .closed(_, _, let reason): nodes[index].closed.append(reason)
        case .moved(let contact): nodes[index].moves.append(contact)
        case .migrationFailed(let contact): nodes[index].failedMoves.append(contact)
        case .datagram(let remote, let bytes):
            nodes[index].datagrams.append((remote, bytes))
        case .path(let event): nodes[index].paths.append(event)
        case .request(let id, let remote, let method, let body):
            nodes[index].requests.append((id, remote, method, body))
            if nodes[index].echoes {
                nodes[index].machine.respond(id, .success(body), wall: wall, now: now)
            }
        }
    }

    private mutating func send(_ flight: Flight) {
        if let filter, !filter(flight) { return }
        var flight = flight
        if let relay = relays[flight.to] {
            flight.to = nodes[relay.node].address
            flight.from = relay.source
        }
        flight.ecn = faults.remarks(flight.ecn)
        var departure = now
        if faults.rate > 0 {
            departure = max(now, linkFree)
            guard departure - now <= faults.queueMax else {
                dropped += 1
                return
            }
            longestQueue = max(longestQueue, departure - now)
            if departure - now > faults.marksAbove, flight.ecn == .ect0 { flight.ecn = .ce }
            departure += Int64(flight.bytes.count) * 1_000_000_000 / faults.rate
            linkFree = departure
        }
        for copy in 0..<2 {
            if copy == 1, !chance(faults.duplication) { return }
            if chance(faults.loss) { continue }
            var flight = flight
            if chance(faults.corruption) {
                let bit = Int(generator.next() % UInt64(flight.bytes.count * 8))
                flight.bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            }
            let jitter =
                faults.jitter > 0 ? Int64(generator.next() % UInt64(faults.jitter)) : 0
            flights.insert(flight, deadline: departure + faults.delay + jitter)
        }
    }

    /// Puts a datagram under way as if `from` had sent it.
    mutating func launch(_ bytes: [UInt8], to: SocketAddress, from: SocketAddress, after: Int64) {
        flights.insert(Flight(to: to, from: from, bytes: bytes), deadline: now + after)
    }

    private mutating func deliver(_ flight: Flight) {
        var flight = flight
        let index = nodes.firstIndex { $0.address == flight.to }
        guard
            let index = flight.to.isVirtual ? Int(UInt64(truncatingIfNeeded: flight.to.ip)) : index,
            !nodes[index].isDown
        else { return }
        if flight.to.isVirtual, let from = nodes.firstIndex(where: { $0.address == flight.from }) {
            relayed += 1
            flight.from = SocketAddress(virtual: UInt64(from))
        }
        nodes[index].datagramsReceived += 1
        flight.bytes.withUnsafeBytes { bytes in
            nodes[index].machine.handle(
                ReceivedDatagrams(
                    source: flight.from, bytes: bytes, segmentSize: max(1, bytes.count),
                    ecn: flight.ecn),
                wall: wall, now: now)
        }
        nodes[index].machine.finishTurn(wall: wall, now: now)
        settle(index)
    }

    /// One event; false when nothing is left to happen before `end`.
    mutating func step(until end: Int64) -> Bool {
        var next = flights.first?.deadline ?? .max
        for node in nodes where !node.isDown {
            next = min(next, node.machine.nextDeadline ?? .max)
        }
        guard next <= end else { return false }
        wall.milliseconds += max(0, next - now) / 1_000_000
        now = max(now, next)
        if let flight = flights.first, flight.deadline <= now, let entry = flights.popFirst() {
            deliver(entry.value)
            return true
        }
        for index in nodes.indices where !nodes[index].isDown {
            if let deadline = nodes[index].machine.nextDeadline, deadline <= now {
                nodes[index].machine.handleTimeout(wall: wall, now: now)
                settle(index)
            }
        }
        return true
    }

    /// Lets `duration` pass, or less if `isDone` says so.
    @discardableResult
    mutating func run(
        _ duration: Duration = .seconds(30), until isDone: (Pair) -> Bool = { _ in false }
    ) -> Bool {
        let end = now + duration.nanoseconds
        while !isDone(self) {
            guard step(until: end) else {
                now = end
                return isDone(self)
            }
        }
        return true
    }

    /// The result of a call, once time has brought it.
    mutating func result(
        _ node: Int, _ id: CallID, within duration: Duration = .seconds(60)
    ) -> Result<[UInt8], RPCError>? {
        run(duration) { $0.nodes[node].completed[id] != nil }
        return nodes[node].completed[id]
    }
}

func pattern(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
        let word = generator.next()
        for shift in 0..<8 where bytes.count < count {
            bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift)))
        }
    }
    return bytes
}
