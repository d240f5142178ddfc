package import CyxCore

/// What a relay gives to others.
package struct RelayLimits: Sendable, Equatable {
    /// Peers that may be reached through it.
    package var reservations = 512
    /// How long a reservation lasts unless it is renewed.
    package var reservationLifetime = Duration.seconds(60)
    package var circuits = 1024
    package var circuitsPerPeer = 32
    /// Bytes per second of one circuit, both directions together, and how many at once.
    package var circuitBytesPerSecond: Int64 = 1 << 20
    package var circuitBurst: Int64 = 256 << 10
    /// The least burst: what a handshake and one round of a first window take.
    package static let burstMin: Int64 = 64 << 10
    /// A circuit that carries nothing for so long is closed.
    package var idleTimeout = Duration.seconds(90)
    package init() {}
}

/// Why a relay does not help.
package enum RelayRefusal: UInt16, Error, Equatable, Sendable, CaseIterable {
    /// This peer has no relay role: it brings peers together, but carries nothing.
    case notARelay = 0x10
    /// The peer that is wanted has no reservation here.
    case noReservation = 0x11
    /// There are as many reservations or circuits as there may be.
    case full = 0x12
    /// The sender has as many circuits as one peer may have.
    case tooManyOfOne = 0x13
    /// The sender asks too often.
    case tooFast = 0x14

    package var description: String {
        switch self {
        case .notARelay: "not a relay"
        case .noReservation: "the peer has no reservation here"
        case .full: "no room"
        case .tooManyOfOne: "too many circuits of one peer"
        case .tooFast: "too many requests"
        }
    }
}

/// A packet between the ends of a circuit as it travels in a datagram to and from the relay:
/// `0x52 ‖ circuit 4 ‖ packet`. The packet is encrypted between the ends: a relay learns who talks
/// to whom, how much and when, which is what the network between sees as well.
package enum CircuitFrame {
    package static let headerSize = 5
    private static let type: UInt8 = 0x52

    package static func encode(_ circuit: UInt32, _ packet: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerSize + packet.count)
        bytes.append(type)
        for shift: UInt32 in [24, 16, 8, 0] {
            bytes.append(UInt8(truncatingIfNeeded: circuit >> shift))
        }
        bytes += packet
        return bytes
    }

    /// The circuit; nil for anything that is not a frame with a packet.
    package static func circuit(of bytes: [UInt8]) -> UInt32? {
        guard bytes.count > headerSize, bytes[0] == type else { return nil }
        return bytes[1..<headerSize].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// The relay role (a machine): who may be reached through this peer, which circuits there are, and
/// what each may carry. Holds nothing of what it carries.
package struct RelayMachine: Sendable {
    private struct Circuit: Sendable {
        var ends: (PeerID, PeerID)
        var tokens: Double
        var updated: Instant
    }

    package let limits: RelayLimits
    /// Whether it carries packets, or only brings peers together.
    package let carries: Bool
    private var reservations: [PeerID: Instant] = [:]
    private var circuits: [UInt32: Circuit] = [:]
    private var perPeer: [PeerID: Int] = [:]
    private var generator: SeededGenerator
    package private(set) var carriedBytes: UInt64 = 0
    package private(set) var droppedBytes: UInt64 = 0

    package init(limits: RelayLimits, carries: Bool, seed: UInt64) {
        self.limits = limits
        self.carries = carries
        generator = SeededGenerator(seed: seed)
    }

    package var circuitCount: Int { circuits.count }
    package var reservationCount: Int { reservations.count }

    /// Lets others reach `peer` through this one, for `reservationLifetime`.
    package mutating func reserve(_ peer: PeerID, now: Instant) throws(RelayRefusal) {
        if reservations[peer] == nil, reservations.count >= limits.reservations {
            expire(now: now)
            guard reservations.count < limits.reservations else { throw .full }
        }
        reservations[peer] = now + limits.reservationLifetime
    }

    package func hasReservation(_ peer: PeerID, now: Instant) -> Bool {
        reservations[peer].map { $0 > now } ?? false
    }

    /// Makes a circuit from `caller` to `target`, which has to be told of it.
    package mutating func open(
        from caller: PeerID, to target: PeerID, now: Instant
    ) throws(RelayRefusal) -> UInt32 {
        guard carries else { throw .notARelay }
        guard hasReservation(target, now: now), caller != target else { throw .noReservation }
        if circuits.count >= limits.circuits { expire(now: now) }
        guard circuits.count < limits.circuits else { throw .full }
        for peer in [caller, target] where perPeer[peer, default: 0] >= limits.circuitsPerPeer {
            expire(now: now)
            guard perPeer[peer, default: 0] < limits.circuitsPerPeer else { throw .tooManyOfOne }
        }
        var number = UInt32(truncatingIfNeeded: generator.next())
        while circuits[number] != nil { number = UInt32(truncatingIfNeeded: generator.next()) }
        circuits[number] = Circuit(
            ends: (caller, target), tokens: Double(limits.circuitBurst), updated: now)
        perPeer[caller, default: 0] += 1
        perPeer[target, default: 0] += 1
        return number
    }

    package mutating func close(_ number: UInt32) {
        guard let circuit = circuits.removeValue(forKey: number) else { return }
        for peer in [circuit.ends.0, circuit.ends.1] {
            let left = perPeer[peer, default: 1] - 1
            perPeer[peer] = left > 0 ? left : nil
        }
    }

    /// To whom a frame that `sender` sent goes on, as it is; nil if it is lost here.
    package mutating func forward(
        _ frame: [UInt8], from sender: PeerID, now: Instant
    ) -> PeerID? {
        guard let number = CircuitFrame.circuit(of: frame), var circuit = circuits[number],
            sender == circuit.ends.0 || sender == circuit.ends.1
        else { return nil }
        let elapsed = Double((now - circuit.updated).nanoseconds) / 1e9
        circuit.tokens = min(
            Double(limits.circuitBurst),
            circuit.tokens + elapsed * Double(limits.circuitBytesPerSecond))
        circuit.updated = now
        let isCarried = circuit.tokens >= Double(frame.count)
        if isCarried { circuit.tokens -= Double(frame.count) }
        circuits[number] = circuit
        if isCarried {
            carriedBytes += UInt64(frame.count)
        } else {
            droppedBytes += UInt64(frame.count)
        }
        guard isCarried else { return nil }
        return sender == circuit.ends.0 ? circuit.ends.1 : circuit.ends.0
    }

    /// Forgets reservations that were not renewed, and circuits that carry nothing.
    package mutating func expire(now: Instant) {
        reservations = reservations.filter { $0.value > now }
        for number in circuits.filter({ now - $0.value.updated > limits.idleTimeout }).keys {
            close(number)
        }
    }
}
