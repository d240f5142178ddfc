import CyxCore
import CyxTransport
import SimulationHarness
import Synchronization
import Testing

private final class Inbox: Sendable {
    let datagrams = Mutex<[[UInt8]]>([])
    var count: Int { datagrams.withLock { $0.count } }
}

private func listen(_ peer: SimulatedPeer, _ inbox: Inbox) throws -> any DatagramSocket {
    let socket = try peer.environment.network.bind(peer.address)
    socket.start(
        receive: { batch in
            for received in batch {
                inbox.datagrams.withLock { $0.append(Array(received.bytes)) }
            }
        }, writable: {})
    return socket
}

private func send(_ socket: any DatagramSocket, _ bytes: [UInt8], size: Int, to: SimulatedPeer) {
    let outcome = bytes.withUnsafeBytes { socket.send($0, segmentSize: size, to: to.address) }
    #expect(outcome == .sent)
}

@Suite struct NetworkTests {
    @Test func segmentsArriveAsSingleDatagrams() throws {
        var options = WorldOptions()
        options.maximumSegments = 4
        options.links.jitter = .zero
        let world = SimulatedWorld(seed: 1, options: options)
        let (a, b) = (world.addPeer(), world.addPeer())
        let inbox = Inbox()
        let socket = try listen(a, Inbox())
        _ = try listen(b, inbox)
        send(socket, [1, 2, 3, 4, 5], size: 2, to: b)
        world.run(for: .seconds(1))
        #expect(inbox.datagrams.withLock { $0 } == [[1, 2], [3, 4], [5]])
        #expect(throws: BindError.self) { try b.environment.network.bind(b.address) }
        #expect(throws: BindError.self) { try b.environment.network.bind(a.address) }
    }

    @Test func lossAndDuplicationHaveTheirShares() throws {
        var options = WorldOptions()
        options.links.loss = 0.2
        options.links.duplication = 0.1
        let world = SimulatedWorld(seed: 1, options: options)
        let (a, b) = (world.addPeer(), world.addPeer())
        let inbox = Inbox()
        let socket = try listen(a, Inbox())
        _ = try listen(b, inbox)
        for _ in 0..<10_000 { send(socket, [0], size: 1200, to: b) }
        world.run(for: .seconds(1))
        #expect((8500...9100).contains(inbox.count))
    }

    @Test func partitionsBlocksAndClogsHold() throws {
        let world = SimulatedWorld(seed: 1)
        let (a, b) = (world.addPeer(), world.addPeer())
        let (inboxA, inboxB) = (Inbox(), Inbox())
        let (socketA, socketB) = (try listen(a, inboxA), try listen(b, inboxB))
        func both() {
            send(socketA, [1], size: 9, to: b)
            send(socketB, [2], size: 9, to: a)
            world.run(for: .milliseconds(10))
        }
        world.links.partition([[a]])
        both()
        #expect((inboxA.count, inboxB.count) == (0, 0))
        world.links.heal()
        world.links.block(from: a, to: b)
        both()
        #expect((inboxA.count, inboxB.count) == (1, 0))
        world.links.heal()
        world.links.clog(from: a, to: b, until: world.now + .seconds(5))
        both()
        #expect((inboxA.count, inboxB.count) == (2, 0))
        world.run(for: .seconds(5))
        #expect((inboxA.count, inboxB.count) == (2, 1))
    }

    @Test func callsAnswerRefuseTimeOutAndFindTheDead() throws {
        let world = SimulatedWorld(seed: 1)
        let (a, b) = (world.addPeer(), world.addPeer())
        let (idA, idB) = (PeerID(Digest(0, 0, 0, 1)), PeerID(Digest(0, 0, 0, 2)))
        let fromA = DirectMessaging(world: world, peer: a, id: idA)
        let fromB = DirectMessaging(world: world, peer: b, id: idB)
        fromB.handle(RPCMethod(rawValue: 1)) { remote, request in
            #expect(remote.peer == idA)
            if request.isEmpty { throw RPCFailure(code: 7, message: "empty") }
            return request.reversed()
        }
        func call(_ request: [UInt8], _ method: UInt16 = 1) throws -> [UInt8] {
            try world.perform(on: a) {
                try await fromA.call(
                    idB, RPCMethod(rawValue: method), request, timeout: .seconds(1))
            }
        }
        #expect(throws: RPCError.unreachable) { try call([1]) }
        let contact = try world.perform(on: a) {
            try await fromA.identify(b.address, timeout: .seconds(1))
        }
        #expect(contact == PeerContact(peer: idB, address: b.address))
        #expect(try call([1, 2]) == [2, 1])
        let arrived = Mutex<[[UInt8]]>([])
        fromB.handleDatagrams { remote, bytes in
            #expect(remote.peer == idA)
            arrived.withLock { $0.append(bytes) }
        }
        fromA.sendDatagram(to: idB, [3, 4])
        fromA.sendDatagram(to: idB, [UInt8](repeating: 1, count: 2000))
        #expect(try call([1, 2]) == [2, 1])
        #expect(arrived.withLock { $0 } == [[3, 4]])
        #expect(throws: RPCError.refused(RPCFailure(code: 7, message: "empty"))) { try call([]) }
        #expect(throws: RPCError.self) { try call([1], 2) }
        world.links.partition([[a]])
        #expect(throws: RPCError.timedOut) { try call([1]) }
        world.links.heal()
        b.crash()
        #expect(throws: RPCError.unreachable) { try call([1]) }
    }
}
