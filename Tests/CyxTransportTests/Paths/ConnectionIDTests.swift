import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

@Suite struct ConnectionIDTests {
    private func issued(_ sequence: UInt64, id: UInt64? = nil, token: UInt8? = nil) -> IssuedID {
        IssuedID(
            sequence: sequence, id: ConnectionID(id ?? 1000 + sequence),
            token: StatelessResetToken(
                bytes: [UInt8](
                    repeating: token ?? UInt8(truncatingIfNeeded: sequence), count: 16)))
    }

    @Test func idsOfThePeerAreTakenInTurnAndRepeatedFramesChangeNothing() throws {
        var ids = RemoteIDs()
        let first = issued(0)
        for sequence in [1, 2, 1, 2] as [UInt64] {
            let retired = try ids.insert(issued(sequence), retirePriorTo: 0, inUse: [first])
            #expect(retired.isEmpty)
        }
        #expect(ids.spares == [issued(1), issued(2)])
        let taken = ids.take()
        #expect(taken == issued(1))
        // Now it is in use and 0 is retired: the frame comes once more, then after its end.
        let again = try ids.insert(issued(1), retirePriorTo: 0, inUse: [issued(1)])
        let late = try ids.insert(issued(0), retirePriorTo: 0, inUse: [issued(1)])
        #expect(again.isEmpty && late.isEmpty)
        #expect(ids.spares == [issued(2)])
    }

    @Test func moreIDsThanAgreedOrOneForTwoNumbersAreViolations() throws {
        var ids = RemoteIDs()
        for sequence in 1...2 as ClosedRange<UInt64> {
            _ = try ids.insert(issued(sequence), retirePriorTo: 0, inUse: [issued(0)])
        }
        var copy = ids
        #expect(throws: TransportError.connectionIDLimit) {
            try copy.insert(issued(3), retirePriorTo: 0, inUse: [issued(0)])
        }
        copy = ids
        #expect(throws: TransportError.protocolViolation) {
            try copy.insert(issued(2, id: 5), retirePriorTo: 0, inUse: [issued(0)])
        }
        copy = ids
        #expect(throws: TransportError.protocolViolation) {
            try copy.insert(issued(7, id: 1002), retirePriorTo: 0, inUse: [issued(0)])
        }
        copy = ids
        #expect(throws: TransportError.protocolViolation) {
            try copy.insert(issued(2, token: 99), retirePriorTo: 0, inUse: [issued(0)])
        }
    }

    @Test func whatThePeerWantsRetiredIsRetired() throws {
        var ids = RemoteIDs()
        for sequence in 1...2 as ClosedRange<UInt64> {
            _ = try ids.insert(issued(sequence), retirePriorTo: 0, inUse: [issued(0)])
        }
        let retired = try ids.insert(issued(3), retirePriorTo: 2, inUse: [issued(0)])
        #expect(retired == [1])
        #expect(ids.spares == [issued(2), issued(3)])
        // One that is late and unwanted by now.
        _ = ids.take()
        var other = RemoteIDs()
        _ = try other.insert(issued(5), retirePriorTo: 5, inUse: [issued(0)])
        let late = try other.insert(issued(4), retirePriorTo: 0, inUse: [issued(5)])
        #expect(late == [4])
        #expect(other.spares == [issued(5)])
    }

    @Test func aPeerThatLeavesManyGapsIsCutOff() throws {
        var ids = RemoteIDs()
        var failure: TransportError?
        for step in 1...100 as ClosedRange<UInt64> {
            do throws(TransportError) {
                _ = try ids.insert(issued(step * 2), retirePriorTo: step * 2, inUse: [])
            } catch {
                failure = error
                break
            }
        }
        #expect(failure == .connectionIDLimit)
    }

    @Test func ourIDsAreRetiredOnceAndNotByThemselves() throws {
        var ids = LocalIDs(first: ConnectionID(7))
        let token = try #require(issued(1).token)
        let number = ids.add(ConnectionID(8), token)
        #expect(number == 1 && ids.missing == 1)
        #expect(throws: TransportError.protocolViolation) {
            try ids.retire(2, within: ConnectionID(7))
        }
        #expect(throws: TransportError.protocolViolation) {
            try ids.retire(0, within: ConnectionID(7))
        }
        let retired = try ids.retire(0, within: ConnectionID(8))
        #expect(retired == ConnectionID(7))
        let again = try ids.retire(0, within: ConnectionID(8))
        #expect(again == nil)
        #expect(ids.missing == 2)
    }

    @Test func aPeerThatGivesUpNoneGetsNoMore() throws {
        var ids = LocalIDs(first: ConnectionID(7))
        let token = try #require(issued(1).token)
        for round in UInt64(0)..<20 {
            ids.retireAll()
            let missing = ids.missing
            #expect(missing >= 0)
            for index in 0..<UInt64(missing) {
                _ = ids.add(ConnectionID(round * 10 + index), token)
            }
        }
        #expect(ids.entries.count == LocalIDs.entriesMax)
        let retired = try ids.retire(0, within: ConnectionID(1))
        #expect(retired == ConnectionID(7) && ids.missing == 1)
    }

    @Test func eachEndHasTwoSparesAndConnectionsLeaveNoRoutesBehind() throws {
        var pair = Pair(timings: .production)
        pair.faults = LinkFaults(loss: 100, delay: 5_000_000, jitter: 2_000_000)
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.seconds(2))
        for node in pair.nodes {
            let handle = try #require(node.machine.links.keys.first)
            let connection = try #require(node.machine.endpoint[handle])
            #expect(connection.localIDs.entries.count == 3)
            #expect(connection.remoteIDs.spares.count == 2)
            #expect(node.machine.endpoint.routes.count == 3)
            #expect(node.machine.endpoint.resetRoutes.count == 1)
        }
        pair.faults.loss = 0
        for step in 0..<5 {
            let address = SocketAddress(ipv4: (172, 16, 0, UInt8(step)), port: 1)
            pair.relays[address] = (1, SocketAddress(ipv4: (172, 17, 0, UInt8(step)), port: 1))
            pair.relays[SocketAddress(ipv4: (172, 17, 0, UInt8(step)), port: 1)] = (0, address)
            let isTried = pair.nodes[0].machine.migrate(
                pair.peer(1), to: address, wall: pair.wall, now: pair.now)
            #expect(isTried)
            pair.settle(0)
            pair.run(.milliseconds(300))
            #expect(pair.nodes[0].moves.count == step + 1)
            #expect(pair.result(1, pair.call(1, 0, [2])) == .success([2]))
            for node in pair.nodes {
                #expect(node.machine.endpoint.routes.count == 3)
                #expect(node.machine.endpoint.resetRoutes.count == 1)
            }
        }
        pair.run(.seconds(100))
        for node in pair.nodes {
            #expect(node.machine.endpoint.connectionCount == 0)
            #expect(node.machine.endpoint.routes.isEmpty)
            #expect(node.machine.endpoint.resetRoutes.isEmpty)
            #expect(node.machine.endpoint.initialRoutes.isEmpty)
        }
    }

    @Test func aPeerThatRestartsAfterAMoveIsNoticedByTheTokenOfTheNewID() throws {
        var pair = Pair()
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        pair.run(.milliseconds(100))
        // Other hosts: IDs are made anew, as the proof in them is of the peer's IP.
        let first = pair.nodes[0].machine.endpoint.routes.keys
        let other = SocketAddress(ipv4: (172, 16, 0, 1), port: 9)
        pair.relays[other] = (1, SocketAddress(ipv4: (172, 17, 0, 1), port: 9))
        pair.relays[SocketAddress(ipv4: (172, 17, 0, 1), port: 9)] = (0, other)
        _ = pair.nodes[0].machine.migrate(
            pair.peer(1), to: other, wall: pair.wall, now: pair.now)
        pair.settle(0)
        pair.run(.milliseconds(300))
        #expect(pair.nodes[0].moves.count == 1)
        let second = pair.nodes[0].machine.endpoint.routes.keys
        #expect(second.count == 3 && Set(first).isDisjoint(with: second))
        pair.nodes[1].machine = Pair.machine(identity: 2, seed: 999)
        let id = pair.call(0, 1, pattern(100))
        #expect(pair.result(0, id, within: .milliseconds(100)) == .failure(.connectionLost))
        #expect(pair.nodes[0].closed == [.statelessReset])
    }
}
