internal import CyxCore
internal import CyxCrypto
package import CyxTransport

/// What each sender has under way all the time: more than its path holds.
package struct LinkLoad: Sendable {
    /// Bytes of a message.
    package var messageBytes = 250_000
    package var messagesUnderWay = 160
    /// Of both ends, but for the number of streams.
    package var limits = TransportLimits()

    package init() {}

    /// As few messages as there can be: the largest ones, which need more credit than a stream has
    /// at first.
    package static let large: LinkLoad = {
        var load = LinkLoad()
        load.messageBytes = PeerMessagingLimits.messageBytes
        load.messagesUnderWay = 8
        return load
    }()
}

/// Pairs of transports that share one link there and one back, under virtual time: each sender
/// always has messages to send to its receiver.
package struct LinkRun {
    private static let method = RPCMethod(rawValue: 0x0101)
    private static let networkID = NetworkID(Digest(7, 7, 7, 7))

    private struct Flight {
        var node: Int
        var bytes: [UInt8]
        var ecn: ECNCodepoint
    }

    package private(set) var forward: PacketLink
    package private(set) var back: PacketLink
    private var nodes: [DrivenMessaging] = []
    private var heap = ProtocolHeap()
    private var flights: [Flight] = []
    private var freeFlights: [Int] = []
    private var now: Int64 = 1_000_000_000
    private var nextCall: UInt64 = 0
    private var random: SeededGenerator
    private let load: LinkLoad
    private let body: [UInt8]
    private var next: ProtocolEvent?

    /// One sender for each of `flows`. Even nodes send, odd ones receive.
    package init(
        flows: [CongestionAlgorithm], load: LinkLoad = LinkLoad(), forward: PacketLink,
        back: PacketLink, seed: UInt64
    ) {
        self.load = load
        body = [UInt8](repeating: 0x5A, count: load.messageBytes)
        self.forward = forward
        self.back = back
        random = SeededGenerator(seed: seed)
        var limits = load.limits
        limits.incomingStreams = UInt64(2 * load.messagesUnderWay)
        for (flow, algorithm) in flows.enumerated() {
            for side in 0..<2 {
                let index = 2 * flow + side
                let configuration = TransportConfiguration(
                    networkKey: LinkRun.networkID.bytes, networkID: LinkRun.networkID,
                    identity: SigningKey(seed: [UInt8](repeating: UInt8(index + 1), count: 32)),
                    timings: .production, limits: limits, congestion: algorithm)
                nodes.append(
                    DrivenMessaging(
                        configuration, random: LinkRandom(seed: seed &* 1000 &+ UInt64(index))))
            }
        }
    }

    private static func address(_ node: Int) -> SocketAddress {
        SocketAddress(ipv4: (10, 0, 0, UInt8(node + 1)), port: 7700)
    }

    /// Starts the flow of one sender.
    package mutating func start(flow: Int) {
        let receiver = PeerContact(
            peer: nodes[2 * flow + 1].localPeer, address: LinkRun.address(2 * flow + 1))
        nodes[2 * flow].learn(receiver)
        for _ in 0..<load.messagesUnderWay { call(flow) }
        settle(2 * flow)
    }

    private mutating func call(_ flow: Int) {
        nextCall += 1
        nodes[2 * flow].call(
            nextCall, nodes[2 * flow + 1].localPeer, LinkRun.method, body,
            deadline: now + 3_600_000_000_000, now: now)
    }

    /// Bytes of messages that have arrived in each flow.
    package var arrived: [UInt64] {
        stride(from: 1, to: nodes.count, by: 2).map { nodes[$0].bytesArrived }
    }

    /// The largest credit that a receiver gives, for the connection and for one of its streams.
    package var receiveWindowMax: (connection: UInt64, stream: UInt64) {
        stride(from: 1, to: nodes.count, by: 2).reduce((0, 0)) {
            let windows = nodes[$1].receiveWindowMax
            return (max($0.0, windows.connection), max($0.1, windows.stream))
        }
    }

    /// Lets `seconds` pass.
    package mutating func run(seconds: Double) {
        let end = now + Int64(seconds * 1e9)
        while step(until: end) {}
        now = end
    }

    private mutating func step(until end: Int64) -> Bool {
        if next == nil { next = heap.next() }
        var time = next?.time ?? .max
        var timed: Int?
        for index in nodes.indices {
            if let deadline = nodes[index].nextDeadline, deadline < time {
                time = deadline
                timed = index
            }
        }
        guard time <= end else { return false }
        now = max(now, time)
        if let timed {
            nodes[timed].handleTimeout(now: now)
            settle(timed)
        } else if let event = next {
            next = nil
            deliver(Int(event.subject))
        }
        return true
    }

    private mutating func deliver(_ index: Int) {
        let flight = flights[index]
        flights[index].bytes = []
        freeFlights.append(index)
        let source = LinkRun.address(flight.node ^ 1)
        flight.bytes.withUnsafeBytes { bytes in
            nodes[flight.node].handle(
                ReceivedDatagrams(
                    source: source, bytes: bytes, segmentSize: bytes.count, ecn: flight.ecn),
                now: now)
        }
        settle(flight.node)
    }

    /// Sends what a node has to send, and keeps its flow going.
    private mutating func settle(_ node: Int) {
        for (_, isAnswered) in nodes[node].takeCompleted() {
            precondition(isAnswered, "a message over a link without end is answered")
            call(node / 2)
        }
        var sent: [(bytes: [UInt8], ecn: ECNCodepoint)] = []
        nodes[node].transmit(now: now) { _, bytes, ecn in sent.append(([UInt8](bytes), ecn)) }
        for (bytes, ecn) in sent { send(bytes, ecn, from: node) }
    }

    private mutating func send(_ bytes: [UInt8], _ ecn: ECNCodepoint, from node: Int) {
        let isMarkable = ecn == .ect0
        let fate =
            node.isMultiple(of: 2)
            ? forward.send(
                bytes: bytes.count, now: now, isMarkable: isMarkable, random: &random)
            : back.send(
                bytes: bytes.count, now: now, isMarkable: isMarkable, random: &random)
        let flight = Flight(node: node ^ 1, bytes: bytes, ecn: fate.isMarked ? .ce : ecn)
        for arrival in [fate.arrival, fate.copy] {
            guard let arrival else { continue }
            var index = flights.count
            if let free = freeFlights.popLast() {
                flights[free] = flight
                index = free
            } else {
                flights.append(flight)
            }
            if let waiting = next {
                // What was taken out of the heap early may not be the first any more.
                heap.schedule(
                    at: waiting.time, kind: 0, subject: Int(waiting.subject))
                next = nil
            }
            heap.schedule(at: arrival, kind: 0, subject: index)
        }
    }
}

/// Randomness of a node, from a seed.
private final class LinkRandom: RandomSource {
    private nonisolated(unsafe) var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for index in buffer.indices {
            buffer[index] = UInt8(truncatingIfNeeded: generator.next())
        }
    }
}
