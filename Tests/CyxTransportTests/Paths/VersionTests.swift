import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct VersionTests {
    private static let stranger = SocketAddress(ipv4: (192, 0, 2, 1), port: 9)
    private static let newer: UInt32 = 0x6B33_43CF

    /// A dialler of `first` and a responder of `second`.
    private func pair(
        _ first: [UInt32], _ second: [UInt32], key: [UInt8] = Pair.networkID.bytes,
        defences: TransportDefences = .all
    ) -> Pair {
        var pair = Pair(count: 0)
        for (index, versions) in [first, second].enumerated() {
            pair.add(identity: UInt8(index + 1), seed: UInt64(index) * 77 + 1, key: key) {
                $0.versions = versions
                $0.defences = defences
            }
        }
        pair.introduce()
        return pair
    }

    private func version(_ pair: Pair, _ node: Int) -> UInt32? {
        pair.nodes[node].machine.links.keys.first.flatMap {
            pair.nodes[node].machine.endpoint[$0]?.version
        }
    }

    private func unknown(size: Int) -> [UInt8] {
        var bytes = pattern(size)
        bytes.replaceSubrange(0..<5, with: [0x80, 0x0A, 0x1A, 0x2A, 0x3A])
        return bytes
    }

    @Test func anUnknownVersionIsAnsweredWithTheListInPublicNetworksOnly() throws {
        for (key, size, count) in [
            (Pair.networkID.bytes, 1200, 1), (Pair.networkID.bytes, 1199, 0),
            (Pair.privateKey, 1200, 0),
        ] {
            var pair = pair([1], [1, 9], key: key)
            nonisolated(unsafe) var sent: [[UInt8]] = []
            pair.filter = {
                sent.append($0.bytes)
                return false
            }
            let bytes = unknown(size: size)
            pair.inject(bytes, to: 1, from: VersionTests.stranger)
            try #require(sent.count == count)
            guard count == 1 else { continue }
            #expect(sent[0].count == 29)
            #expect(sent[0][0] & 0x80 == 0x80)
            #expect(Array(sent[0][1..<5]) == [0, 0, 0, 0])
            #expect(Array(sent[0][5..<13]) == Array(bytes[13..<21]))
            #expect(Array(sent[0][13..<21]) == Array(bytes[5..<13]))
            #expect(Array(sent[0][21...]) == [0, 0, 0, 1, 0, 0, 0, 9])
            #expect(pair.nodes[1].machine.endpoint.slots.isEmpty)
        }
    }

    @Test func aListIsNeverAnsweredAndAFloodIsAnsweredInPart() {
        var pair = pair([1], [1])
        var list = unknown(size: 1200)
        list.replaceSubrange(1..<5, with: [0, 0, 0, 0])
        pair.inject(list, to: 1, from: VersionTests.stranger)
        #expect(pair.nodes[1].datagramsSent == 0)
        for _ in 0..<500 {
            pair.inject(unknown(size: 1200), to: 1, from: VersionTests.stranger)
        }
        #expect(pair.nodes[1].datagramsSent == 100)
    }

    @Test func theBestCommonVersionIsUsed() {
        for (first, second, expected) in [
            ([1], [1], 1), ([VersionTests.newer, 1], [VersionTests.newer, 1], VersionTests.newer),
            ([VersionTests.newer, 1], [1], 1), ([1], [VersionTests.newer, 1], 1),
            ([VersionTests.newer, 5, 1], [9, 1, 5], 5),
        ] as [([UInt32], [UInt32], UInt32)] {
            var pair = pair(first, second)
            #expect(pair.result(0, pair.call(0, 1, [3])) == .success([3]))
            #expect(version(pair, 0) == expected && version(pair, 1) == expected)
        }
    }

    @Test func withoutACommonVersionADialFailsAtOnce() {
        var pair = pair([VersionTests.newer], [1])
        let start = pair.now
        #expect(pair.result(0, pair.call(0, 1, [3])) == .failure(.unreachable))
        #expect(pair.now - start < 20_000_000)
        #expect(pair.nodes[0].closed == [.local(.noCommonVersion)])
    }

    /// A list of versions that somebody on the way sends in the responder's name.
    private func list(_ versions: [UInt32], answering datagram: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [0x80, 0, 0, 0, 0] + datagram[13..<21] + datagram[5..<13]
        for version in versions {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: version >> UInt32(24 - 8 * $0)) }
        }
        return bytes
    }

    @Test func onlyAListThatAnswersTheDatagramAndLacksItsVersionCounts() throws {
        var pair = pair([1], [1])
        nonisolated(unsafe) var first: [UInt8] = []
        pair.filter = {
            first = $0.bytes
            return false
        }
        _ = pair.identify(0, Pair.address(1))
        let good = list([7], answering: first)
        var lists = [list([7, 1], answering: first), list([], answering: first), good + [0]]
        lists.append(list([UInt32](repeating: 7, count: 17), answering: first))
        for byte in 5..<21 {
            var changed = good
            changed[byte] ^= 1
            lists.append(changed)
        }
        for list in lists { pair.inject(list, to: 0, from: Pair.address(1)) }
        #expect(pair.nodes[0].closed.isEmpty)
        pair.inject(good, to: 0, from: Pair.address(1))
        #expect(pair.nodes[0].closed == [.local(.noCommonVersion)])
    }

    @Test func inAPrivateNetworkAListIsNeverHeard() throws {
        var pair = pair([1], [1], key: Pair.privateKey)
        nonisolated(unsafe) var first: [UInt8] = []
        pair.filter = {
            first = $0.bytes
            return false
        }
        _ = pair.identify(0, Pair.address(1))
        pair.inject(list([7], answering: first), to: 0, from: Pair.address(1))
        #expect(pair.nodes[0].closed.isEmpty)
    }

    /// Somebody on the way answers the first datagram with a list that lacks its version.
    private func downgrade(_ defences: TransportDefences) throws -> Pair {
        let versions = [VersionTests.newer, 1]
        var pair = pair(versions, versions, defences: defences)
        nonisolated(unsafe) var first: [UInt8] = []
        pair.filter = {
            first = $0.bytes
            return false
        }
        let id = pair.call(0, 1, [3])
        pair.filter = nil
        pair.inject(list([1], answering: first), to: 0, from: Pair.address(1))
        pair.run(.seconds(3)) { $0.nodes[0].completed[id] != nil }
        return pair
    }

    @Test func aHiddenVersionIsNoticedByWhatTheHandshakeBinds() throws {
        let pair = try downgrade(.all)
        #expect(pair.nodes[0].closed.first == .local(.versionDowngrade))
        #expect(version(pair, 1) != 1 || pair.nodes[1].requests.isEmpty)
        #expect(pair.nodes[1].requests.isEmpty)
        // Without the check the older version would have been used.
        let fooled = try downgrade(.all.subtracting(.versionBinding))
        #expect(fooled.nodes[1].requests.count == 1)
        #expect(version(fooled, 0) == 1)
    }

    @Test func aVersionThatWasChangedOnTheWayGetsNoResponse() throws {
        let versions = [VersionTests.newer, 1]
        var pair = pair(versions, versions, key: Pair.privateKey)
        nonisolated(unsafe) var first: [UInt8] = []
        pair.filter = {
            first = $0.bytes
            return false
        }
        _ = pair.identify(0, Pair.address(1))
        pair.filter = nil
        var changed = first
        changed.replaceSubrange(1..<5, with: [0, 0, 0, 1])
        pair.inject(changed, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].datagramsSent == 0)
        pair.inject(first, to: 1, from: Pair.address(0))
        #expect(pair.nodes[1].datagramsSent == 1)
    }
}
