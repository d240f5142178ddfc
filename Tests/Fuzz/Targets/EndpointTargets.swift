import CyxCore
import CyxCrypto

@testable import CyxTransport

/// Whole machines that are given what a socket may bring them.
let endpointTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "stranger", bytesMax: 6000, trials: 1000, seeds: { strangerSeeds() },
        decode: { bytes in
            var victim = Victim()
            let datagrams = Pieces.split(bytes, limit: 8)
            for datagram in datagrams { victim.take(datagram) }
            // Nothing of somebody without the network's key leaves a trace or gets an answer.
            try BrokenProperty.check(victim.machine.endpoint.slots.isEmpty, "a slot")
            try BrokenProperty.check(victim.machine.endpoint.routes.isEmpty, "a route")
            // A fuzzer that watches comparisons finds the tag of a connection ID of ours, which who
            // sees the wire alone does not; of that one it may hear that it is gone.
            let ours = datagrams.count { victim.choseID(of: $0) }
            try BrokenProperty.check(victim.sent.count <= ours, "an answer to a stranger")
            try BrokenProperty.check(victim.machine.nextDeadline == nil, "a timer")
            return !datagrams.isEmpty
        }),
    FuzzTarget(
        name: "dialled-stranger", bytesMax: 3000, trials: 300,
        seeds: {
            // A list of versions without ours, and a retry packet as long as it must be.
            let versions: [UInt8] = [0x81, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 16)
            let retry = 1 + 4 + 16 + RetryTokens.byteCount + RetryIntegrity.tagSize
            return [
                Pieces.join([versions + [0, 0, 0, 9, 0, 0, 0, 8]]),
                Pieces.join([[0xF0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: retry - 5)]),
            ]
        },
        decode: { bytes in
            // In a public network, where a stranger knows all that there is to know.
            var victim = Victim(key: Victim.networkID.bytes)
            victim.dial(Victim.stranger)
            guard let first = victim.sent.first else { return false }
            let datagrams = Pieces.split(bytes, limit: 8)
            for datagram in datagrams {
                var datagram = datagram
                if datagram.count >= PacketFormat.longHeaderSize {
                    // To the connection, and as if from where its first message went.
                    datagram.replaceSubrange(5..<13, with: first[13..<21])
                    if datagram[0] & 1 == 1 {
                        datagram.replaceSubrange(13..<21, with: first[5..<13])
                    }
                }
                victim.take(datagram)
                victim.pass(milliseconds: 1)
            }
            let isEstablished = victim.machine.endpoint.slots.contains {
                $0.connection?.isEstablished == true
            }
            try BrokenProperty.check(!isEstablished, "established without a handshake")
            for _ in 0..<30 { victim.pass(milliseconds: 100) }
            try BrokenProperty.check(victim.machine.endpoint.connectionCount == 0, "it stays")
            return !datagrams.isEmpty
        }),
    FuzzTarget(
        name: "insider-dials", bytesMax: 2200, trials: 150, seeds: { dialingSeeds() },
        decode: { bytes in
            let pieces = Pieces.split(bytes, limit: 2)
            guard pieces.count == 2 else { return false }
            return try Insider().dial(initial: pieces[0], finish: pieces[1])
        }),
    FuzzTarget(
        name: "insider-answers", bytesMax: 1100, trials: 150,
        seeds: {
            [
                ResponsePayload(
                    suite: 1, versions: [1], originalDestination: ConnectionID(7),
                    retrySource: ConnectionID(0), identity: HandshakeSamples.identity
                ).encoded
            ]
        },
        decode: { bytes in try Insider().answer(payload: bytes) }),
    FuzzTarget(
        name: "connected-peer", bytesMax: 4096, trials: 300,
        seeds: {
            let samples = FrameSamples.harmless
            return [Pieces.join(samples)] + samples.map { Pieces.join([$0]) }
        },
        decode: { bytes in
            var liar = try ConnectedLiar()
            return try liar.say(Pieces.split(bytes, limit: 32))
        }),
]

/// Randomness from a seed. One test at a time uses each.
private final class SeededSource: RandomSource {
    private nonisolated(unsafe) var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: generator.next()) }
    }
}

/// A peer of a private network, at a time of its own.
private struct Victim {
    static let networkID = NetworkID(Digest(1, 2, 3, 4))
    static let networkKey = [UInt8](repeating: 0x5A, count: 32)
    static let stranger = SocketAddress(ipv4: (192, 0, 2, 1), port: 9)
    static let wall = WallTime(milliseconds: 1_700_000_000_000)

    var machine: MessagingMachine
    var now: Int64 = 1_000_000_000
    var sent: [[UInt8]] = []
    /// How many requests were passed on; each is answered with its body.
    var requests = 0
    private let buffer = PacketBuffer(byteCount: 65_507)

    init(identity: UInt8 = 1, key: [UInt8] = Victim.networkKey) {
        machine = MessagingMachine(
            endpoint: Endpoint(
                configuration: TransportConfiguration(
                    networkKey: key, networkID: Victim.networkID,
                    identity: SigningKey(seed: [UInt8](repeating: identity, count: 32)),
                    timings: .devnet),
                random: SeededSource(seed: UInt64(identity))))
    }

    mutating func take(_ datagram: [UInt8], from source: SocketAddress = Victim.stranger) {
        datagram.withUnsafeBytes { bytes in
            machine.handle(
                ReceivedDatagrams(source: source, bytes: bytes, segmentSize: max(1, bytes.count)),
                wall: Victim.wall, now: now)
        }
        machine.finishTurn(wall: Victim.wall, now: now)
        settle()
    }

    func choseID(of datagram: [UInt8]) -> Bool {
        datagram.withUnsafeBytes { bytes in
            ShortHeader(bytes).map {
                machine.endpoint.resetKeys.isOurs($0.destination, ip: Victim.stranger.ip)
            } ?? false
        }
    }

    mutating func pass(milliseconds: Int64) {
        now += milliseconds * 1_000_000
        if let deadline = machine.nextDeadline, deadline <= now {
            machine.handleTimeout(wall: Victim.wall, now: now)
        }
        settle()
    }

    mutating func settle() {
        while !machine.outputs.isEmpty {
            let outputs = machine.outputs
            machine.outputs = []
            for case .request(let id, _, _, let body) in outputs {
                requests += 1
                machine.respond(id, .success(body), wall: Victim.wall, now: now)
            }
        }
        while let next = machine.endpoint.pollTransmit(
            into: buffer.bytes, segmentsMax: 8, now: now)
        {
            var start = 0
            let size = next.transmission.byteCount
            while start < size {
                let end = min(start + next.transmission.segmentSize, size)
                sent.append([UInt8](buffer.bytes[start..<end]))
                start = end
            }
        }
    }

    /// A dial of `address` by this peer; its datagrams are in `sent`.
    mutating func dial(_ address: SocketAddress) {
        machine.identify(
            CallID(value: 0), address: address, deadline: now + 5_000_000_000, wall: Victim.wall,
            now: now)
        settle()
    }
}

/// What a stranger may have seen go by: the first message of a dial in another network, and heads
/// of packets of every type.
private func strangerSeeds() -> [[UInt8]] {
    var dialer = Victim(identity: 2, key: [UInt8](repeating: 1, count: 32))
    dialer.dial(Victim.stranger)
    let heads: [[UInt8]] = [0xC0, 0xD0, 0xE0, 0xF0].map { first in
        [first, 0, 0, 0, 1] + Array(0...60)
    }
    return [
        Pieces.join(dialer.sent),
        Pieces.join(heads + [[0x43] + Array(1...60), [0xC0, 0, 0, 0, 2] + Array(0...60)]),
    ]
}

/// Somebody who knows the network's key and says whatever it likes under it.
private struct Insider {
    private let context = HandshakeContext(
        networkKey: Victim.networkKey, networkID: Victim.networkID,
        identity: SigningKey(seed: [UInt8](repeating: 9, count: 32)),
        staticKey: X25519.PrivateKey(bytes: [UInt8](repeating: 8, count: 32)))
    private let ephemeral = X25519.PrivateKey(bytes: [UInt8](repeating: 7, count: 32))
    private let ownID = ConnectionID(0x1111)

    private func datagram(
        _ type: LongPacketType, to id: ConnectionID, _ message: [UInt8], size: Int = 0
    ) -> [UInt8] {
        written(max(size, message.count + 64)) { writer in
            LongHeader(
                type: type, version: PacketFormat.version, destination: id, source: ownID
            ).write(to: &writer)
            if type == .initial { writer.write(UInt16(0)) }
            writer.write(UInt16(message.count))
            writer.write(message)
            writer.pad(to: size)
        }
    }

    private func message(of datagram: [UInt8]) -> (source: ConnectionID, message: [UInt8])? {
        datagram.withUnsafeBytes { raw in
            LongHeader(raw).map {
                ($0.source, Array(datagram[(PacketFormat.longHeaderSize + 2)...]))
            }
        }
    }

    /// True if the first message was answered.
    func dial(initial: [UInt8], finish: [UInt8]) throws -> Bool {
        guard initial.count <= 1100, finish.count <= 1100 else { return false }
        var victim = Victim()
        var noise = context.handshake(
            role: .initiator, ephemeral: ephemeral, version: PacketFormat.version)
        let first = try noise.writeMessage { _ in initial }
        victim.take(
            datagram(.initial, to: ConnectionID(0x2222), first, size: 1200))
        guard let answer = victim.sent.first, let read = message(of: answer) else {
            let isEmpty = victim.machine.endpoint.connectionCount == 0
            try BrokenProperty.check(isEmpty, "a connection without an answer")
            return false
        }
        _ = try noise.readMessage(read.message)
        let last = try noise.writeMessage { _ in finish }
        victim.take(datagram(.finish, to: read.source, last))
        let isEstablished = victim.machine.endpoint.slots.contains {
            $0.connection?.isEstablished == true
        }
        try BrokenProperty.check(!isEstablished, "established without a signature")
        // The handshake ends on its own, and nothing of it stays.
        for _ in 0..<40 { victim.pass(milliseconds: 100) }
        try BrokenProperty.check(victim.machine.endpoint.connectionCount == 0, "it stays")
        try BrokenProperty.check(victim.machine.endpoint.pendingHandshakes == 0, "it stays pending")
        return true
    }

    /// True if the answer's payload could be read.
    func answer(payload: [UInt8]) throws -> Bool {
        guard payload.count <= 1100 else { return false }
        var victim = Victim()
        victim.dial(Victim.stranger)
        guard let first = victim.sent.first else { throw BrokenProperty(description: "no dial") }
        var noise = context.handshake(
            role: .responder, ephemeral: ephemeral, version: PacketFormat.version)
        let token = PacketFormat.longHeaderSize + 2
        let size = Int(first[token]) << 8 | Int(first[token + 1])
        _ = try noise.readMessage(Array(first[(token + 2)..<(token + 2 + size)]))
        let source = first.withUnsafeBytes { LongHeader($0)?.source } ?? ConnectionID(0)
        let second = try noise.writeMessage { _ in payload }
        victim.take(datagram(.response, to: source, second))
        let isEstablished = victim.machine.endpoint.slots.contains {
            $0.connection?.isEstablished == true
        }
        try BrokenProperty.check(!isEstablished, "established without a signature")
        return try taken(TransportError.self) { try payload.decoded(ResponsePayload.init) } != nil
    }
}

private func dialingSeeds() -> [[UInt8]] {
    let initial = InitialPayload(time: Victim.wall, suites: [1, 2], versions: [1])
    var identity = ByteWriter()
    HandshakeSamples.identity.write(to: &identity)
    return [Pieces.join([initial.encoded(size: 32), identity.bytes])]
}

/// An authenticated peer that fills its packets with whatever it likes.
private struct ConnectedLiar {
    private var victim: Victim
    private let sealing: PacketProtector
    private let destination: ConnectionID
    private var number: UInt64

    init() throws {
        var liar = Victim(identity: 2)
        var victim = Victim()
        let address = SocketAddress(ipv4: (192, 0, 2, 2), port: 9)
        liar.dial(address)
        for _ in 0..<4 {
            let toVictim = liar.sent
            liar.sent = []
            for datagram in toVictim { victim.take(datagram) }
            let toLiar = victim.sent
            victim.sent = []
            for datagram in toLiar { liar.take(datagram, from: address) }
            liar.pass(milliseconds: 5)
            victim.pass(milliseconds: 5)
        }
        guard let connection = liar.machine.endpoint.slots.first?.connection,
            let sealing = connection.keys?.sealing
        else { throw BrokenProperty(description: "no connection") }
        self.sealing = sealing
        self.victim = victim
        destination = connection.remoteID
        number = connection.sent.nextNumber
    }

    /// Sends each payload in a packet of its own; true if the connection outlived them all.
    mutating func say(_ payloads: [[UInt8]]) throws -> Bool {
        guard !payloads.isEmpty else { return false }
        for payload in payloads {
            victim.take(packet(payload))
            victim.pass(milliseconds: 3)
            try check()
        }
        for _ in 0..<4 { victim.pass(milliseconds: 200) }
        try check()
        return victim.machine.endpoint.connectionCount == 1
    }

    private mutating func packet(_ payload: [UInt8]) -> [UInt8] {
        let headerSize = PacketFormat.shortHeaderSize + 4
        let payload = Array(payload.prefix(1400))
        var packet = written(1500) { writer in
            writer.write(UInt8(0b0100_0011))
            writer.write(destination.value)
            writer.write(UInt32(truncatingIfNeeded: number))
            writer.write(payload)
            writer.pad(to: headerSize + 4)
        }
        packet += [UInt8](repeating: 0, count: PacketFormat.tagSize)
        packet.withUnsafeMutableBytes { raw in
            sealing.seal(raw, headerSize: headerSize, numberSize: 4, number: number)
        }
        number += 1
        return packet
    }

    /// What a peer may cost: no more streams, bytes or answers than it was given credit for.
    private func check() throws {
        let endpoint = victim.machine.endpoint
        try BrokenProperty.check(endpoint.connectionCount <= 1, "more than one connection")
        guard let connection = endpoint.slots.first?.connection, connection.isEstablished else {
            return
        }
        let limits = endpoint.configuration.limits
        try BrokenProperty.check(
            connection.dataReceived <= connection.receiveWindow.limit, "beyond the window")
        try BrokenProperty.check(
            connection.streams.openCount <= Int(limits.incomingStreams), "too many streams")
        try BrokenProperty.check(
            connection.sent.bytesInFlight >= 0 && connection.sent.ackElicitingCount >= 0,
            "less than nothing in flight")
        try BrokenProperty.check(victim.machine.reservedBytes >= 0, "reserved less than nothing")
    }
}
