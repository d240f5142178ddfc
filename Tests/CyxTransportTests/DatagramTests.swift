import CyxCore
import Testing

@testable import CyxTransport

@Suite struct DatagramTests {
    @Test func datagramsArriveAndNameTheirSender() {
        var pair = Pair()
        pair.introduce()
        // The first opens the connection.
        for size in [0, 1, 63, 64, 1000, 1168] { pair.sendDatagram(0, 1, pattern(size)) }
        pair.run(.seconds(1)) { $0.nodes[1].datagrams.count == 6 }
        #expect(pair.nodes[1].datagrams.map(\.bytes.count) == [0, 1, 63, 64, 1000, 1168])
        #expect(pair.nodes[1].datagrams.allSatisfy { $0.bytes == pattern($0.bytes.count) })
        #expect(pair.nodes[1].datagrams.allSatisfy { $0.remote == pair.contact(0) })
        pair.sendDatagram(1, 0, [7])
        pair.run(.seconds(1))
        #expect(pair.nodes[0].datagrams.map(\.bytes) == [[7]])
    }

    @Test func aDatagramIsNeitherSplitNorRepeated() throws {
        var pair = Pair(seed: 3)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        // Every second packet is lost: of those that arrive, each comes once.
        pair.faults.loss = 500
        for index in 0..<200 {
            pair.sendDatagram(0, 1, [UInt8(index)] + pattern(500))
            pair.run(.milliseconds(20))
        }
        pair.faults.loss = 0
        pair.run(.seconds(5))
        let arrived = pair.nodes[1].datagrams.map { $0.bytes[0] }
        #expect(Set(arrived).count == arrived.count)
        #expect((60...140).contains(arrived.count))
        #expect(pair.nodes[1].datagrams.allSatisfy { $0.bytes.dropFirst() == pattern(500)[...] })
    }

    @Test func whatCanNeverBeSentIsDroppedAndCounted() {
        var pair = Pair(count: 3)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        #expect(pair.nodes[0].machine.datagramBytesMax(to: pair.peer(1)) == 1168)
        pair.sendDatagram(0, 1, pattern(1169))
        #expect(pair.nodes[0].machine.datagramsDropped == 1)
        // A peer that nobody knows, and one that does not answer.
        let stranger = Pair.machine(identity: 99, seed: 99).endpoint.localPeer
        pair.nodes[0].machine.sendDatagram(to: stranger, [1], wall: pair.wall, now: pair.now)
        #expect(pair.nodes[0].machine.datagramsDropped == 2)
        pair.nodes[2].isDown = true
        for _ in 0..<40 { pair.sendDatagram(0, 2, [1]) }
        #expect(pair.nodes[0].machine.datagramsDropped == 10)
        pair.run(.seconds(5))
        #expect(pair.nodes[0].machine.datagramsDropped == 42)
        #expect(pair.nodes[1].datagrams.isEmpty)
    }

    @Test func aFullQueueDropsTheOldest() {
        var queue = DatagramQueue()
        var dropped = 0
        for index in 0..<2000 {
            dropped += queue.append([UInt8(index & 255), UInt8(index >> 8)])
        }
        #expect(dropped == 2000 - DatagramQueue.countMax)
        #expect(queue.count == DatagramQueue.countMax)
        #expect(queue.byteCount == 2 * DatagramQueue.countMax)
        #expect(queue.first == [UInt8((2000 - 512) & 255), UInt8((2000 - 512) >> 8)])
        while !queue.isEmpty { queue.removeFirst() }
        #expect(queue.byteCount == 0)
        for _ in 0..<100 { dropped += queue.append(pattern(16_000)) }
        #expect(queue.byteCount <= DatagramQueue.bytesMax)
    }

    @Test func congestionHoldsDatagramsBackAndTheOldestAreDropped() {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        let before = pair.nodes[0].datagramsSent
        for index in 0..<1000 { pair.sendDatagram(0, 1, [UInt8(index & 255)] + pattern(1100)) }
        // No more than the congestion window leaves at once, whatever was asked for.
        let sent = pair.nodes[0].datagramsSent - before
        #expect((20...Cubic.initialWindowPackets + 4).contains(sent))
        pair.run(.seconds(2))
        let queued = DatagramQueue.bytesMax / 1101
        let dropped = Int(pair.nodes[0].machine.datagramsDropped)
        #expect(pair.nodes[1].datagrams.count + dropped == 1000)
        #expect((queued...queued + 40).contains(pair.nodes[1].datagrams.count))
        // The newest made it.
        #expect(pair.nodes[1].datagrams.last?.bytes[0] == UInt8(999 & 255))
    }

    @Test func datagramsAndStreamsShareAPath() {
        var pair = Pair(timings: .production)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        let body = pattern(1 << 20)
        pair.faults.rate = 12_500_000
        let call = pair.call(0, 1, body, timeout: .seconds(60))
        let bytes = pattern(1160)
        // Twice what the path carries, until the call is through.
        for _ in 0..<300 where pair.nodes[0].completed[call] == nil {
            for _ in 0..<200 { pair.sendDatagram(0, 1, bytes) }
            pair.run(.milliseconds(10))
        }
        let isAnswered = pair.nodes[0].completed[call] == .success(body)
        #expect(isAnswered)
        #expect(pair.nodes[1].datagrams.count > 1000)
        #expect(pair.nodes[0].machine.datagramsDropped > 1000)
    }

    @Test func datagramsKeepAConnectionInUse() {
        var pair = Pair()
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        for _ in 0..<5 {
            pair.run(.seconds(20))
            pair.sendDatagram(0, 1, [1])
        }
        #expect(pair.nodes[0].closed.isEmpty && pair.nodes[1].closed.isEmpty)
    }

    @Test func bothFrameTypesAreRead() throws {
        let bytes: [UInt8] = [0x31, 0x02, 0xAA, 0xBB, 0x30, 0xCC, 0xDD, 0xEE]
        try bytes.withUnsafeBytes { bytes in
            var decoder = FrameDecoder(bytes)
            guard case .datagram(let first)? = try decoder.next(),
                case .datagram(let second)? = try decoder.next()
            else { throw TransportError.frameEncoding }
            #expect([UInt8](first) == [0xAA, 0xBB])
            #expect([UInt8](second) == [0xCC, 0xDD, 0xEE])
            #expect(try decoder.next() == nil)
        }
        let short: [UInt8] = [0x31, 0x03, 0xAA, 0xBB]
        short.withUnsafeBytes { bytes in
            var decoder = FrameDecoder(bytes)
            #expect(throws: TransportError.self) { try decoder.next() }
        }
    }

    @Test func aPeerWithoutTheParameterGetsNone() throws {
        var parameters = ConnectionParameters(
            source: ConnectionID(1),
            resetToken: try #require(
                StatelessResetToken(bytes: [UInt8](repeating: 1, count: 16))),
            maxData: 1, maxStreamData: 1, maxStreams: 1, idleTimeoutMilliseconds: 1,
            maxAckDelayMilliseconds: 1, maxDatagramFrameSize: 1200)
        func roundTrip() throws -> ConnectionParameters {
            var writer = ByteWriter(capacity: 256)
            parameters.write(to: &writer)
            return try writer.bytes.decoded(ConnectionParameters.read)
        }
        #expect(try roundTrip() == parameters)
        parameters.maxDatagramFrameSize = 0
        #expect(try roundTrip().maxDatagramFrameSize == 0)
        var pair = Pair()
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        let handle = try #require(pair.nodes[0].machine.links.keys.first)
        pair.nodes[0].machine.endpoint[handle]?.peerDatagramFrameSizeMax = 0
        #expect(pair.nodes[0].machine.datagramBytesMax(to: pair.peer(1)) == 0)
        pair.sendDatagram(0, 1, [1])
        #expect(pair.nodes[0].machine.datagramsDropped == 1)
        pair.nodes[0].machine.endpoint[handle]?.peerDatagramFrameSizeMax = 100
        #expect(pair.nodes[0].machine.datagramBytesMax(to: pair.peer(1)) == 97)
    }
}
