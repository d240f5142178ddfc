import CyxCore

@testable import CyxTransport

/// What must hold of every connection after every event, seen from both of its ends.
struct ConnectionChecks {
    /// What one end was like when it was last looked at.
    fileprivate struct Past {
        var nextNumber: UInt64
        var bytesInFlight: Int
        var window: Int
        var sendLimit: UInt64
        /// Of the last packet seen on its way out.
        var number: UInt64?
        var updates: UInt64
    }

    /// Names one end for good, whatever connection IDs it goes by.
    private struct End: Hashable {
        var node: Int
        var firstID: ConnectionID
        var role: ConnectionRole
    }

    private(set) var violation: String?
    /// Key updates seen, of all connections.
    private(set) var updates: UInt64 = 0
    private var past: [End: Past] = [:]
    private var looks = 0
    private let scratch = PacketBuffer(byteCount: 2048)

    private mutating func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds, violation == nil { violation = what() }
    }

    mutating func look(at pair: Pair, sent flights: [Pair.Flight]) {
        looks += 1
        var ends: [End: Connection] = [:]
        for (node, state) in pair.nodes.enumerated() where !state.isDown {
            for slot in state.machine.endpoint.slots {
                guard let connection = slot.connection, connection.isEstablished else { continue }
                let end = End(
                    node: node, firstID: connection.originalDestination, role: connection.role)
                ends[end] = connection
            }
        }
        for flight in flights { checkNumber(of: flight, pair, ends) }
        for (end, connection) in ends {
            checkAlone(end, connection)
            let peer = ends.first { other, _ in
                other.node != end.node && other.firstID == end.firstID && other.role != end.role
            }
            if let peer { check(connection, against: peer.value) }
        }
        past = past.filter { ends[$0.key] != nil }
    }

    /// Numbers grow from packet to packet, whatever the key, so none is used twice under one.
    private mutating func checkNumber(
        of flight: Pair.Flight, _ pair: Pair, _ ends: [End: Connection]
    ) {
        flight.bytes.withUnsafeBytes { raw in
            guard let header = ShortHeader(raw),
                let node = pair.nodes.firstIndex(where: { $0.address == flight.from }),
                let (end, connection) = ends.first(where: {
                    $0.key.node == node && $0.value.remoteID == header.destination
                })
            else { return }
            let last = past[end]?.number
            let clear = connection.keys?.sealing.unmask(
                raw, numberOffset: PacketFormat.shortHeaderSize, largestReceived: last,
                into: scratch.bytes)
            guard let number = clear?.number else { return }
            expect(last.map { number > $0 } ?? true, "number \(number) after \(last ?? 0)")
            expect(number < connection.sent.nextNumber, "number \(number) was never given out")
            if past[end] == nil { past[end] = Past(of: connection) }
            past[end]?.number = number
        }
    }

    private mutating func checkAlone(_ end: End, _ connection: Connection) {
        expect(
            connection.dataReceived <= connection.receiveWindow.limit,
            "took \(connection.dataReceived) B of \(connection.receiveWindow.limit)")
        expect(
            connection.dataSent <= connection.sendLimit,
            "sent \(connection.dataSent) B of \(connection.sendLimit)")
        let window = connection.congestion.window
        let flying = connection.sent.bytesInFlight
        if let before = past[end] {
            // Growing beyond the window is for probes alone.
            let allowed = max(window, before.window) + 3 * PacketFormat.datagramSizeMax
            expect(
                flying <= before.bytesInFlight || flying <= allowed,
                "\(flying) B in flight, window \(window)")
            expect(connection.sent.nextNumber >= before.nextNumber, "numbers went back")
            expect(connection.sendLimit >= before.sendLimit, "credit went back")
        }
        let seen = connection.keys?.updates ?? 0
        updates += seen - min(seen, past[end]?.updates ?? 0)
        let number = past[end]?.number
        past[end] = Past(of: connection)
        past[end]?.number = number
        if looks % 16 == 0 { checkSums(connection) }
    }

    /// The running totals against the packets themselves.
    private mutating func checkSums(_ connection: Connection) {
        // Those that we open may be more for a moment: the peer is done with some before we are.
        let limit = connection.limits.incomingStreams
        let highest = connection.streams.remoteMax
        let opened = (highest - min(highest, 4 * limit)..<highest).count {
            connection.streams[StreamID(index: $0, role: connection.role.other)] != nil
        }
        expect(opened <= Int(limit), "the peer has \(opened) streams open")
        var bytes = 0
        var count = 0
        var number = connection.sent.firstNumber
        while let packet = connection.sent.packet(number) {
            if packet.state == .outstanding, packet.isAckEliciting {
                bytes += Int(packet.size)
                count += 1
            }
            number += 1
        }
        expect(bytes == connection.sent.bytesInFlight, "\(bytes) B are in flight, not as counted")
        expect(count == connection.sent.ackElicitingCount, "\(count) packets wait, not as counted")
    }

    private mutating func check(_ own: Connection, against peer: Connection) {
        expect(
            own.sendLimit <= peer.receiveWindow.limit,
            "takes \(own.sendLimit) B for granted of \(peer.receiveWindow.limit)")
        expect(
            peer.received.largest.map { $0 < own.sent.nextNumber } ?? true,
            "received what was not sent")
        if let acknowledged = own.largestAcknowledged {
            expect(
                peer.received.largest.map { $0 >= acknowledged } ?? false,
                "acknowledged what was not received")
        }
    }
}

extension ConnectionChecks.Past {
    fileprivate init(of connection: Connection) {
        nextNumber = connection.sent.nextNumber
        bytesInFlight = connection.sent.bytesInFlight
        window = connection.congestion.window
        sendLimit = connection.sendLimit
        updates = connection.keys?.updates ?? 0
    }
}
