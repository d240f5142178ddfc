import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// Both sides' keys of one connection, without a connection.
private struct KeyedPair {
    static let retention: Int64 = 30

    var sides: [PacketKeys]
    private var nextNumber: [UInt64] = [0, 0]
    private let plaintext = PacketBuffer(byteCount: PacketFormat.datagramSizeMax)
    var now: Int64 = 0

    init(suite: CipherSuite = .aes256GCM) {
        let secrets = [[UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32)]
        sides = [0, 1].map {
            PacketKeys(
                sealing: secrets[$0], opening: secrets[1 - $0], suite: suite, now: 0,
                retention: KeyedPair.retention)
        }
    }

    mutating func wait(_ duration: Int64) {
        now += duration
        for index in sides.indices { maintain(index) }
    }

    mutating func maintain(_ index: Int) {
        sides[index].maintain(now: now, retention: KeyedPair.retention)
    }

    mutating func seal(_ index: Int, number: UInt64? = nil) -> [UInt8] {
        let number = number ?? nextNumber[index]
        nextNumber[index] = max(nextNumber[index], number + 1)
        var packet = [UInt8](repeating: UInt8(index), count: 60)
        packet[0] = 0x41 | (sides[index].sealingPhase ? PacketFormat.keyPhaseBit : 0)
        packet[9] = UInt8(number >> 8)
        packet[10] = UInt8(truncatingIfNeeded: number)
        packet.withUnsafeMutableBytes {
            sides[index].seal($0, headerSize: 11, numberSize: 2, number: number)
        }
        return packet
    }

    mutating func open(_ index: Int, _ packet: [UInt8]) throws(TransportError) -> UInt64? {
        var result: Result<UInt64?, TransportError> = .success(nil)
        packet.withUnsafeBytes { bytes in
            do throws(TransportError) {
                result = .success(
                    try sides[index].open(
                        bytes, largestReceived: nil, scratch: plaintext.bytes,
                        into: plaintext.bytes, now: now)?.number)
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    /// A packet each way, each acknowledged.
    mutating func exchange() throws {
        for index in 0...1 {
            let number = nextNumber[index]
            let opened = try open(1 - index, seal(index))
            #expect(opened == number)
            sides[1 - index].acknowledgmentSent()
            _ = try open(index, seal(1 - index))
            try sides[index].acknowledged(number, now: now)
        }
    }

    mutating func update(_ index: Int) {
        #expect(sides[index].mayUpdate(now: now, retention: KeyedPair.retention))
        sides[index].update(now: now)
    }
}

/// RFC 9001 §6.
@Suite struct KeyUpdateTests {
    private static let limits: TransportLimits = {
        var limits = TransportLimits()
        limits.packetsPerKey = 10
        return limits
    }()

    /// A.5's secret and its "ku" secret, by which §6.1 defines the next key and vector; the mask of
    /// the header stays that of the first.
    @Test func theNextKeysAreThoseOfTheKeyUpdateSecret() throws {
        let schedule = KeySchedule(prefix: "tls13 quic ")
        let secret = try bytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
        let updated = try bytes("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9")
        let first = PacketProtector(secret: secret, suite: .chaCha20Poly1305, schedule: schedule)
        var packet = try bytes("4200bff401") + [UInt8](repeating: 0, count: 16)
        packet.withUnsafeMutableBytes {
            first.next().seal($0, headerSize: 4, numberSize: 3, number: 654_360_564)
        }
        let iv = schedule.expand(updated, "iv", count: 12)
        var nonce = iv
        for (index, byte) in [0x27, 0x00, 0xBF, 0xF4].enumerated() {
            nonce[8 + index] ^= UInt8(byte)
        }
        let sealed = ChaChaPoly(key: schedule.expand(updated, "key", count: 32)).seal(
            nonce: nonce, aad: try bytes("4200bff4"), plaintext: [1])
        #expect(Array(packet[4...]) == sealed)
        let mask = HeaderProtector(.chaCha20, key: schedule.expand(secret, "hp", count: 32))
            .mask(sample: Array(sealed[1...]))
        #expect(packet[0] == 0x42 ^ (mask[0] & 0x1F))
        #expect(Array(packet[1...3]) == [0x00 ^ mask[1], 0xBF ^ mask[2], 0xF4 ^ mask[3]])
    }

    @Test(arguments: [CipherSuite.aes256GCM, .chaCha20Poly1305])
    func aPeerFollowsAnUpdateAndTheNextOneToo(suite: CipherSuite) throws {
        var pair = KeyedPair(suite: suite)
        try pair.exchange()
        for round in 1...4 {
            pair.wait(KeyedPair.retention)
            pair.update(round % 2)
            try pair.exchange()
            try pair.exchange()
            pair.wait(0)
            pair.wait(KeyedPair.retention)
            #expect(pair.sides.map(\.updates) == [UInt64(round), UInt64(round)])
        }
    }

    @Test func anUpdateWaitsForAnAcknowledgmentOfTheLastAndThreeProbeTimeouts() throws {
        var pair = KeyedPair()
        pair.wait(KeyedPair.retention)
        let retention = KeyedPair.retention
        #expect(!pair.sides[0].mayUpdate(now: pair.now, retention: retention))
        try pair.exchange()
        #expect(!pair.sides[0].mayUpdate(now: pair.now + retention - 1, retention: retention))
        pair.wait(retention)
        pair.update(0)
        pair.wait(10 * retention)
        #expect(!pair.sides[0].mayUpdate(now: pair.now, retention: retention))
        // An acknowledgment of packets under the old keys says nothing about the new ones.
        _ = pair.seal(0)
        try pair.sides[0].acknowledged(0, now: pair.now)
        pair.wait(10 * retention)
        #expect(!pair.sides[0].mayUpdate(now: pair.now, retention: retention))
    }

    @Test func latePacketsOpenUntilThreeProbeTimeoutsAfterTheFirstNewOne() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        let late = [pair.seal(0), pair.seal(0)]
        pair.update(0)
        let opened = try pair.open(1, pair.seal(0))
        #expect(opened != nil)
        pair.wait(0)
        pair.wait(KeyedPair.retention - 1)
        let first = try pair.open(1, late[0])
        #expect(first != nil)
        pair.wait(1)
        let second = try pair.open(1, late[1])
        #expect(second == nil)
    }

    @Test func packetsUnderOldKeysOpenAtTheUpdatingSideUntilThePeerFollows() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        pair.update(0)
        pair.wait(100 * KeyedPair.retention)
        let opened = try pair.open(0, pair.seal(1))
        #expect(opened != nil)
    }

    @Test func keysAreDerivedBetweenPacketsOnly() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.now += KeyedPair.retention
        pair.maintain(0)
        pair.update(0)
        // The peer has not derived its next keys: the packet is lost to it, not fatal.
        let early = pair.seal(0)
        let before = try pair.open(1, early)
        #expect(before == nil)
        #expect(pair.sides[1].deadline.map { $0 <= pair.now } == true)
        pair.maintain(1)
        let after = try pair.open(1, early)
        #expect(after != nil)
    }

    @Test func aSecondUpdateBeforeTheFirstIsAcknowledgedIsAnError() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        pair.update(0)
        _ = try pair.open(1, pair.seal(0))
        pair.wait(0)
        // Against the rules, without an acknowledgment.
        pair.sides[0].update(now: pair.now)
        let packet = pair.seal(0)
        #expect(throws: TransportError.keyUpdate) { try pair.open(1, packet) }
    }

    @Test func aSecondUpdateAfterTheFirstIsAcknowledgedIsFollowed() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        pair.update(0)
        _ = try pair.open(1, pair.seal(0))
        pair.sides[1].acknowledgmentSent()
        pair.wait(0)
        pair.sides[0].update(now: pair.now)
        let opened = try pair.open(1, pair.seal(0))
        #expect(opened != nil)
        #expect(pair.sides[1].updates == 2)
    }

    @Test func oldKeysUnderANewerNumberAreAnError() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        let old = pair.seal(0, number: 50)
        pair.update(0)
        _ = try pair.open(1, pair.seal(0, number: 40))
        pair.wait(0)
        #expect(throws: TransportError.keyUpdate) { try pair.open(1, old) }
    }

    @Test func newKeysUnderAnOlderNumberAreAnError() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        _ = try pair.open(1, pair.seal(0, number: 50))
        pair.update(0)
        let new = pair.seal(0, number: 40)
        #expect(throws: TransportError.keyUpdate) { try pair.open(1, new) }
    }

    @Test func oldKeysThatAcknowledgePacketsUnderNewOnesAreAnError() throws {
        var pair = KeyedPair()
        try pair.exchange()
        pair.wait(KeyedPair.retention)
        pair.update(0)
        _ = pair.seal(0, number: 20)
        let old = pair.seal(1)
        let opened = try pair.open(0, old)
        #expect(opened != nil)
        // Packets from before the update may be acknowledged under old keys.
        try pair.sides[0].acknowledged(19, now: pair.now)
        #expect(throws: TransportError.keyUpdate) {
            try pair.sides[0].acknowledged(20, now: pair.now)
        }
    }

    @Test(arguments: 1...6)
    func messagesSurviveManyUpdatesOnABadLink(seed: UInt64) throws {
        var pair = Pair(seed: seed, timings: .production, limits: KeyUpdateTests.limits)
        pair.faults = LinkFaults(
            loss: 50, duplication: 30, corruption: 20, delay: 8_000_000, jitter: 6_000_000)
        pair.introduce()
        for index in 0..<30 {
            let body = pattern(60_000, seed: UInt64(index))
            let id = pair.call(index % 2, 1 - index % 2, body, timeout: .seconds(60))
            #expect(pair.result(index % 2, id) == .success(body))
        }
        for node in pair.nodes {
            let updates = node.machine.links.keys.compactMap {
                node.machine.endpoint[$0]?.keys?.updates
            }
            #expect(updates.count == 1)
            #expect(updates.allSatisfy { $0 >= 3 }, "\(updates)")
            #expect(node.closed.isEmpty)
        }
    }

    @Test func oneConnectionCarriesMoreThanOneKeysPackets() throws {
        var pair = Pair(limits: KeyUpdateTests.limits)
        pair.introduce()
        for index in 0..<40 {
            let id = pair.call(0, 1, pattern(5000))
            #expect(pair.result(0, id) == .success(pattern(5000)), "call \(index)")
            pair.run(.milliseconds(100))
        }
        #expect(pair.nodes.map(\.machine.links.count) == [1, 1])
    }

    @Test func tooManyPacketsThatDoNotOpenEndTheConnection() throws {
        var limits = TransportLimits()
        limits.failedOpens = 20
        var pair = Pair(limits: limits)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        let handle = try #require(pair.nodes[1].machine.links.keys.first)
        let id = try #require(pair.nodes[1].machine.endpoint[handle]?.localID)
        var forged: [UInt8] = [0x40]
        for shift in (0..<8).reversed() {
            forged.append(UInt8(truncatingIfNeeded: id.value >> UInt64(8 * shift)))
        }
        forged += [UInt8](repeating: 7, count: 60)
        for index in 0..<20 {
            #expect(pair.nodes[1].closed.isEmpty, "after \(index)")
            pair.inject(forged, to: 1, from: Pair.address(0))
        }
        #expect(pair.nodes[1].closed == [.local(.aeadLimit)])
    }
}
