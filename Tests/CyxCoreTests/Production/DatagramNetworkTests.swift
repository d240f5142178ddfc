import CyxCore
import Synchronization
import Testing

/// Everything that a socket received, datagram by datagram.
private final class Received: Sendable {
    private let state = Mutex<[(bytes: [UInt8], mark: ECNCodepoint)]>([])
    var datagrams: [[UInt8]] { state.withLock { $0.map(\.bytes) } }
    var marks: [ECNCodepoint] { state.withLock { $0.map(\.mark) } }

    func add(_ batches: UnsafeBufferPointer<ReceivedDatagrams>) {
        for batch in batches {
            for start in stride(from: 0, to: batch.bytes.count, by: batch.segmentSize) {
                let end = min(start + batch.segmentSize, batch.bytes.count)
                let datagram = [UInt8](UnsafeRawBufferPointer(rebasing: batch.bytes[start..<end]))
                state.withLock { $0.append((datagram, batch.ecn)) }
            }
        }
    }
}

struct DatagramNetworkTests {
    private static let loopback4 = SocketAddress(ipv4: (127, 0, 0, 1), port: 0)
    private static let loopback6 = SocketAddress(ip: 1, port: 0)

    private func exchange(
        _ address: SocketAddress, allowsOffload: Bool, bytes: [UInt8], segmentSize: Int
    ) async throws -> [[UInt8]] {
        try await onReactor { reactor in
            let environment = try testEnvironment(reactor)
            let network = EpollDatagramNetwork(
                reactor: reactor, logger: environment.logger, allowsOffload: allowsOffload)
            let sender = try network.bind(address)
            let receiver = try network.bind(address)
            #expect(receiver.localAddress.port != 0)
            #expect(allowsOffload || sender.maximumSegments == 1)
            let received = Received()
            receiver.start(receive: { received.add($0) }, writable: {})
            let outcome = bytes.withUnsafeBytes {
                sender.send($0, segmentSize: segmentSize, to: receiver.localAddress)
            }
            #expect(outcome == .sent)
            let expected = (bytes.count + segmentSize - 1) / segmentSize
            for _ in 0..<200 where received.datagrams.count < expected {
                try await environment.sleep(for: .milliseconds(5))
            }
            sender.close()
            receiver.close()
            return received.datagrams
        }
    }

    @Test(arguments: [loopback4, loopback6], [true, false])
    func segmentsArriveWholeAndInOrder(address: SocketAddress, allowsOffload: Bool) async throws {
        let bytes = (0..<(20 * 1200 + 77)).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let datagrams = try await exchange(
            address, allowsOffload: allowsOffload, bytes: bytes, segmentSize: 1200)
        #expect(datagrams.map(\.count) == [Int](repeating: 1200, count: 20) + [77])
        #expect(Array(datagrams.joined()) == bytes)
    }

    @Test(
        arguments: [loopback4, loopback6, SocketAddress(ip: 0, port: 0)],
        [ECNCodepoint.notECT, .ect0, .ect1, .ce])
    func marksArriveWithTheirDatagrams(address: SocketAddress, mark: ECNCodepoint) async throws {
        let marks = try await onReactor { reactor in
            let environment = try testEnvironment(reactor)
            let sender = try environment.network.bind(address)
            let receiver = try environment.network.bind(address)
            // A socket of both families speaks to an IPv4 peer here.
            let target =
                address.ip == 0
                ? SocketAddress(ipv4: (127, 0, 0, 1), port: receiver.localAddress.port)
                : receiver.localAddress
            let received = Received()
            receiver.start(receive: { received.add($0) }, writable: {})
            let bytes = [UInt8](repeating: 1, count: 3000)
            // Split and single, marked and, at the end, not.
            for (size, ecn) in [(1000, mark), (3000, mark), (3000, .notECT)] {
                let outcome = bytes.withUnsafeBytes {
                    sender.send($0, segmentSize: size, ecn: ecn, to: target)
                }
                #expect(outcome == .sent)
            }
            for _ in 0..<200 where received.datagrams.count < 5 {
                try await environment.sleep(for: .milliseconds(5))
            }
            sender.close()
            receiver.close()
            return received.marks
        }
        #expect(marks == [mark, mark, mark, mark, .notECT])
    }

    @Test func aTakenPortIsABindError() async throws {
        try await onReactor { reactor in
            let network = try testEnvironment(reactor).network
            let first = try network.bind(DatagramNetworkTests.loopback4)
            let error = #expect(throws: BindError.self) { try network.bind(first.localAddress) }
            #expect(error?.errno == 98)
            #expect(error?.address == first.localAddress)
            first.close()
        }
    }

    @Test func sendingOnAClosedSocketFails() async throws {
        try await onReactor { reactor in
            let network = try testEnvironment(reactor).network
            let socket = try network.bind(DatagramNetworkTests.loopback4)
            socket.close()
            let outcome = [1, 2, 3].withUnsafeBytes {
                socket.send($0, segmentSize: 24, to: socket.localAddress)
            }
            #expect(outcome == .failed(errno: 9))
        }
    }
}
