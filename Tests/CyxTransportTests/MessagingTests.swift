import CyxCore
import Testing

@testable import CyxTransport

@Suite struct MessagingTests {
    @Test func aCallIsAnswered() throws {
        var pair = Pair()
        pair.introduce()
        let id = pair.call(0, 1, Array("hello".utf8))
        #expect(pair.result(0, id) == .success(Array("hello".utf8)))
        #expect(pair.nodes[1].requests.count == 1)
        #expect(pair.nodes[1].requests[0].remote == pair.contact(0))
        #expect(pair.nodes[1].requests[0].method == RPCMethod(rawValue: 0x0101))
    }

    @Test(arguments: [0, 1, 7, 8, 1000, 1400, 65_536, 1 << 20, 8 << 20])
    func messagesOfEverySizeArriveWhole(size: Int) throws {
        var pair = Pair()
        pair.introduce()
        let body = pattern(size)
        let id = pair.call(0, 1, body, timeout: .seconds(60))
        #expect(pair.result(0, id) == .success(body))
    }

    @Test(arguments: 1...8)
    func messagesSurviveLossReorderingDuplicationAndCorruption(seed: UInt64) throws {
        var pair = Pair(seed: seed, timings: .production)
        pair.faults = LinkFaults(
            loss: 100, duplication: 50, corruption: 30, delay: 8_000_000, jitter: 6_000_000)
        pair.introduce()
        var calls: [(Int, CallID, [UInt8])] = []
        for index in 0..<6 {
            let body = pattern(1 + index * 40_000, seed: seed + UInt64(index))
            let from = index % 2
            calls.append(
                (from, pair.call(from, 1 - from, body, timeout: .seconds(60)), body))
        }
        for (from, id, body) in calls {
            #expect(pair.result(from, id) == .success(body))
        }
    }

    @Test func packetsRepeatedWhileAHandlerRunsChangeNothing() throws {
        var pair = Pair()
        pair.introduce()
        pair.faults.duplication = 1000
        pair.nodes[1].echoes = false
        let id = pair.call(0, 1, [1, 2, 3])
        pair.run(.milliseconds(500))
        #expect(pair.nodes[1].requests.count == 1)
        let request = pair.nodes[1].requests[0]
        pair.nodes[1].machine.respond(
            request.id, .success(request.body), wall: pair.wall, now: pair.now)
        pair.settle(1)
        #expect(pair.result(0, id) == .success([1, 2, 3]))
    }

    @Test func aLostFinalHandshakeMessageIsRepeated() throws {
        var pair = Pair()
        pair.introduce()
        var dropped = 0
        pair.filter = { flight in
            guard flight.bytes[0] >> 4 == 0b1110, dropped < 2 else { return true }
            dropped += 1
            return false
        }
        let id = pair.call(0, 1, [4])
        #expect(pair.result(0, id) == .success([4]))
        #expect(dropped == 2)
    }

    @Test func aSilentAddressIsUnreachableAfterTheHandshakeTimeout() throws {
        var pair = Pair()
        pair.introduce()
        pair.nodes[1].isDown = true
        let start = pair.now
        let id = pair.call(0, 1, [1])
        #expect(pair.result(0, id) == .failure(.unreachable))
        #expect(pair.now - start == TransportTimings.devnet.handshakeTimeout.nanoseconds)
        #expect(pair.nodes[0].machine.endpoint.connectionCount == 0)
    }

    @Test func anUnknownPeerIsUnreachableAtOnce() throws {
        var pair = Pair()
        let id = pair.call(0, 1, [1])
        #expect(pair.nodes[0].completed[id] == .failure(.unreachable))
    }

    @Test func aPeerThatDiesIsNoticedWhileACallWaits() throws {
        var pair = Pair()
        pair.introduce()
        pair.nodes[1].echoes = false
        let id = pair.call(0, 1, [1], timeout: .seconds(60))
        pair.run(.milliseconds(300))
        #expect(pair.nodes[1].requests.count == 1)
        let start = pair.now
        pair.nodes[1].isDown = true
        #expect(pair.result(0, id) == .failure(.connectionLost))
        let seconds = Double(pair.now - start) / 1e9
        #expect(seconds > 1 && seconds < 3)
    }

    @Test func aRestartedPeerIsNoticedAtOnceAndReachedAgain() throws {
        var pair = Pair()
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.nodes[1].machine = Pair.machine(identity: 2, seed: 999)
        let start = pair.now
        let id = pair.call(0, 1, pattern(100))
        #expect(pair.result(0, id) == .failure(.connectionLost))
        #expect(pair.now - start < 100_000_000)
        #expect(pair.result(0, pair.call(0, 1, [3])) == .success([3]))
    }

    @Test func aPeerThatDialsAgainAndAgainHasFewConnections() throws {
        var pair = Pair()
        pair.introduce()
        let bound = MessagingMachine.connectionsPerPeerMax
        for _ in 0..<5 * bound {
            let id = pair.identify(0, pair.nodes[1].address)
            pair.run(.milliseconds(50)) { $0.nodes[0].identified[id] != nil }
            #expect(pair.nodes[0].identified[id] == .success(pair.contact(1)))
        }
        pair.run(.milliseconds(200))
        for node in pair.nodes {
            #expect(node.machine.endpoint.connectionCount <= bound)
            #expect(node.machine.links.count <= bound)
        }
        let closed = pair.nodes.map { $0.machine.endpoint.statistics.surplusConnections }
        #expect(closed[0] + closed[1] >= UInt64(4 * bound))
        #expect(pair.result(0, pair.call(0, 1, [5])) == .success([5]))
        #expect(pair.result(1, pair.call(1, 0, [6])) == .success([6]))
    }

    @Test func simultaneousDialsBothSucceedAndSettleOnOneConnection() throws {
        var pair = Pair()
        pair.introduce()
        let first = pair.call(0, 1, [1])
        let second = pair.call(1, 0, [2])
        #expect(pair.result(0, first) == .success([1]))
        #expect(pair.result(1, second) == .success([2]))
        let preferred = (0...1).map { index in
            let machine = pair.nodes[index].machine
            return machine.peers[pair.peer(1 - index)]?.connections.first.flatMap {
                machine.links[$0]?.isInitiator
            }
        }
        let smaller = pair.peer(0) < pair.peer(1) ? 0 : 1
        #expect(preferred[smaller] == true)
        #expect(preferred[1 - smaller] == false)
        pair.run(.seconds(120))
        #expect(pair.nodes[0].machine.endpoint.connectionCount == 0)
        #expect(pair.nodes[1].machine.endpoint.connectionCount == 0)
        #expect(pair.nodes[0].machine.links.isEmpty && pair.nodes[1].machine.links.isEmpty)
    }

    @Test func identifyTellsWhoAnswers() throws {
        var pair = Pair()
        let id = pair.identify(0, Pair.address(1))
        pair.run(.seconds(3)) { $0.nodes[0].identified[id] != nil }
        #expect(pair.nodes[0].identified[id] == .success(pair.contact(1)))
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
    }

    @Test func somebodyElseAtAnAddressIsNotTakenForThePeer() throws {
        var pair = Pair(count: 3)
        pair.nodes[0].machine.learn(PeerContact(peer: pair.peer(1), address: Pair.address(2)))
        let id = pair.call(0, 1, [1])
        #expect(pair.result(0, id) == .failure(.unreachable))
        #expect(pair.nodes[2].requests.isEmpty)
    }

    @Test func aTimedOutCallResetsItsStream() throws {
        var pair = Pair()
        pair.introduce()
        pair.nodes[1].echoes = false
        let id = pair.call(0, 1, pattern(3000), timeout: .milliseconds(200))
        #expect(pair.result(0, id) == .failure(.timedOut))
        pair.run(.seconds(1))
        let request = pair.nodes[1].requests[0]
        pair.nodes[1].machine.respond(
            request.id, .success(request.body), wall: pair.wall, now: pair.now)
        pair.settle(1)
        pair.run(.seconds(1))
        for node in pair.nodes {
            for handle in node.machine.links.keys {
                #expect(node.machine.endpoint[handle]?.streams.openCount == 0)
            }
        }
    }

    @Test func moreCallsThanStreamsAreServedInTurn() throws {
        var limits = TransportLimits()
        limits.incomingStreams = 4
        var pair = Pair(limits: limits)
        pair.introduce()
        pair.nodes[1].echoes = false
        let calls = (0..<20).map { pair.call(0, 1, [UInt8($0)]) }
        pair.run(.seconds(1))
        #expect(pair.nodes[1].requests.count == 4)
        var answered = 0
        while answered < 20 {
            let request = pair.nodes[1].requests[answered]
            answered += 1
            pair.nodes[1].machine.respond(
                request.id, .success(request.body), wall: pair.wall, now: pair.now)
            pair.settle(1)
            pair.run(.milliseconds(200))
        }
        for (index, id) in calls.enumerated() {
            #expect(pair.nodes[0].completed[id] == .success([UInt8(index)]))
        }
    }
}
