import CyxCore
import CyxOverlay
import Testing

@Suite struct RelayTests {
    private let now = Instant(nanoseconds: 0)

    private func peer(_ number: UInt64) -> PeerID { PeerID(Digest(number, 0, 0, 0)) }

    private func relay(_ change: (inout RelayLimits) -> Void = { _ in }) -> RelayMachine {
        var limits = RelayLimits()
        change(&limits)
        return RelayMachine(limits: limits, carries: true, seed: 1)
    }

    @Test func aCircuitNeedsTheReservationOfTheOneThatIsCalled() throws {
        var relay = relay()
        #expect(throws: RelayRefusal.noReservation) {
            try relay.open(from: peer(1), to: peer(2), now: now)
        }
        try relay.reserve(peer(2), now: now)
        let circuit = try relay.open(from: peer(1), to: peer(2), now: now)
        let frame = CircuitFrame.encode(circuit, [1, 2, 3])
        #expect(relay.forward(frame, from: peer(1), now: now) == peer(2))
        #expect(relay.forward(frame, from: peer(2), now: now) == peer(1))
        // Others have no say in it, whatever number they guess.
        #expect(relay.forward(frame, from: peer(3), now: now) == nil)
        #expect(relay.carriedBytes == UInt64(2 * frame.count))
        let late = now + RelayLimits().reservationLifetime + .seconds(1)
        #expect(throws: RelayRefusal.noReservation) {
            try relay.open(from: peer(1), to: peer(2), now: late)
        }
    }

    @Test func aPeerWithoutTheRoleCarriesNothing() throws {
        var relay = RelayMachine(limits: RelayLimits(), carries: false, seed: 1)
        try relay.reserve(peer(2), now: now)
        #expect(relay.hasReservation(peer(2), now: now))
        #expect(throws: RelayRefusal.notARelay) {
            try relay.open(from: peer(1), to: peer(2), now: now)
        }
    }

    @Test func reservationsAndCircuitsAreBounded() throws {
        var relay = relay {
            $0.reservations = 3
            $0.circuits = 4
            $0.circuitsPerPeer = 2
        }
        for number in 1...3 { try relay.reserve(peer(UInt64(number)), now: now) }
        try relay.reserve(peer(1), now: now)
        #expect(throws: RelayRefusal.full) { try relay.reserve(peer(9), now: now) }
        for _ in 0..<2 { _ = try relay.open(from: peer(8), to: peer(1), now: now) }
        #expect(throws: RelayRefusal.tooManyOfOne) {
            try relay.open(from: peer(7), to: peer(1), now: now)
        }
        for _ in 0..<2 { _ = try relay.open(from: peer(7), to: peer(2), now: now) }
        #expect(throws: RelayRefusal.full) {
            try relay.open(from: peer(6), to: peer(3), now: now)
        }
        // Idle circuits make room.
        let late = now + RelayLimits().idleTimeout + .seconds(1)
        for number in 1...3 { try relay.reserve(peer(UInt64(number)), now: late) }
        #expect(throws: Never.self) { try relay.open(from: peer(6), to: peer(3), now: late) }
        #expect(relay.circuitCount == 1)
        // Reservations that are not renewed do too.
        let later = late + RelayLimits().reservationLifetime + .seconds(1)
        #expect(throws: Never.self) { try relay.reserve(peer(9), now: later) }
        #expect(relay.reservationCount == 1)
    }

    @Test func aCircuitCarriesSoManyBytesPerSecond() throws {
        var relay = relay {
            $0.circuitBytesPerSecond = 10_000
            $0.circuitBurst = 20_000
        }
        try relay.reserve(peer(2), now: now)
        let circuit = try relay.open(from: peer(1), to: peer(2), now: now)
        let frame = CircuitFrame.encode(circuit, [UInt8](repeating: 0, count: 995))
        func carried(at time: Instant) -> Int {
            (0..<100).count { _ in relay.forward(frame, from: peer(1), now: time) != nil }
        }
        #expect(carried(at: now) == 20)
        #expect(carried(at: now + .seconds(1)) == 10)
        #expect(carried(at: now + .seconds(1)) == 0)
        #expect(relay.droppedBytes == UInt64(80 + 90 + 100) * 1000)
    }

    @Test func aFrameIsToldFromWhateverElseADatagramMayBe() {
        let frame = CircuitFrame.encode(0xDEAD_BEEF, [7])
        #expect(CircuitFrame.circuit(of: frame) == 0xDEAD_BEEF)
        #expect(frame.count == CircuitFrame.headerSize + 1)
        for length in 0..<frame.count {
            #expect(CircuitFrame.circuit(of: Array(frame.prefix(length))) == nil)
        }
        #expect(CircuitFrame.circuit(of: [0x53] + frame.dropFirst()) == nil)
    }

    @Test func aVirtualAddressStandsForOneCircuitForEver() throws {
        var circuits = Circuits()
        func key(_ number: Int) -> Circuits.Key {
            Circuits.Key(relay: peer(1), number: UInt32(number))
        }
        let first = circuits.add(key(0), now: now)
        #expect(circuits.add(key(0), now: now) == first)
        #expect(circuits.circuit(at: first, now: now) == key(0))
        #expect(circuits.address(of: key(0), now: now) == first)
        #expect(circuits.address(of: Circuits.Key(relay: peer(2), number: 0), now: now) == nil)
        for number in 1...Circuits.limit {
            let isNew = circuits.add(key(number), now: now + .seconds(Int64(number))) != first
            #expect(isNew)
        }
        // The one that was idle longest is gone, and its address is not given to another.
        #expect(circuits.count == Circuits.limit)
        #expect(circuits.circuit(at: first, now: now) == nil)
        #expect(circuits.add(key(0), now: now) != first)
    }
}
