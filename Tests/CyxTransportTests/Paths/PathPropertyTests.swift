import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// Random moves of both peers, on purpose and not, amid loss, reordering and strangers who copy
/// packets: the transport breaks none of its own rules, stays within its bounds, and works again
/// once the network does.
@Suite struct PathPropertyTests {
    private static let strangers = (0..<3).map {
        SocketAddress(ipv4: (203, 0, 113, UInt8($0)), port: 1)
    }
    private static let aliases = (0..<4).map {
        SocketAddress(ipv4: (198, 51, 100, UInt8($0)), port: 1)
    }

    private func move(_ pair: inout Pair, _ generator: inout SeededGenerator) {
        let node = Int(generator.next() % 2)
        switch generator.next() % 6 {
        case 0:
            pair.nodes[node].address.port = UInt16(1000 + generator.next() % 1000)
        case 1:
            pair.nodes[node].address = SocketAddress(
                ipv4: (10, 9, UInt8(node), UInt8(generator.next() % 250)), port: 7700)
        case 2, 3:
            // To the true address, by a relay, or to somebody who never answers.
            let targets =
                [pair.nodes[1 - node].address, PathPropertyTests.strangers[2]]
                + PathPropertyTests.aliases
            let target = targets[Int(generator.next() % UInt64(targets.count))]
            _ = pair.nodes[node].machine.migrate(
                pair.peer(1 - node), to: target, wall: pair.wall, now: pair.now)
            pair.settle(node)
        case 4:
            pair.faults.loss = [0, 50, 200][Int(generator.next() % 3)]
        default:
            _ = pair.call(node, 1 - node, pattern(Int(generator.next() % 20_000)))
        }
    }

    private func check(_ pair: Pair) {
        for node in pair.nodes {
            let endpoint = node.machine.endpoint
            for slot in endpoint.slots {
                guard let connection = slot.connection else { continue }
                #expect(connection.otherPaths.count <= Connection.otherPathsMax)
                #expect(connection.otherPaths.count { $0.purpose == .previous } <= 1)
                #expect(connection.localIDs.entries.count <= LocalIDs.entriesMax)
                #expect(connection.remoteIDs.spares.count < IssuedID.activeMax)
                #expect(endpoint.routes[connection.localIDs.entries[0].id] != nil)
            }
            let known = endpoint.slots.reduce(0) {
                $0 + ($1.connection?.localIDs.entries.count ?? 0)
            }
            #expect(endpoint.routes.count == known)
        }
    }

    @Test(arguments: 1...24)
    func anythingMayMoveAtAnyTime(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var pair = Pair(seed: seed, key: Pair.privateKey) {
            $0.congestion = seed % 2 == 0 ? .bbr : .cubic
        }
        pair.faults = LinkFaults(duplication: 20, delay: 4_000_000, jitter: 3_000_000)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        for (index, alias) in PathPropertyTests.aliases.enumerated() {
            pair.relays[alias] = (
                index % 2, PathPropertyTests.aliases[index ^ 1]
            )
        }
        // The first stranger forwards what comes back; the others keep it.
        pair.relays[PathPropertyTests.strangers[0]] = (0, Pair.address(1))
        nonisolated(unsafe) var copies: [(SocketAddress, [UInt8])] = []
        pair.filter = {
            if copies.count < 8 { copies.append(($0.to, $0.bytes)) }
            return true
        }
        for _ in 0..<40 {
            move(&pair, &generator)
            let end = pair.now + Int64(generator.next() % 120) * 1_000_000
            repeat {
                for (to, bytes) in copies where generator.next() % 8 == 0 {
                    let from = PathPropertyTests.strangers[Int(generator.next() % 3)]
                    pair.launch(
                        bytes, to: to, from: from,
                        after: Int64(generator.next() % 10_000_000))
                }
                copies = []
            } while pair.step(until: end)
            check(pair)
        }
        #expect(pair.nodes.contains { !$0.moves.isEmpty })
        pair.filter = nil
        pair.faults = LinkFaults()
        pair.run(.seconds(8))
        check(pair)
        for node in 0...1 {
            // A connection that was lost meanwhile is opened anew where the peer is.
            pair.nodes[node].machine.learn(pair.contact(1 - node))
            _ = pair.result(node, pair.call(node, 1 - node, [8]))
            pair.nodes[node].machine.learn(pair.contact(1 - node))
            #expect(pair.result(node, pair.call(node, 1 - node, [9])) == .success([9]))
            for reason in pair.nodes[node].closed {
                #expect(reason.isOrdinary, "\(reason)")
            }
        }
    }
}
