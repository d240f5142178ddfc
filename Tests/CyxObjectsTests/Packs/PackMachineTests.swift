import CyxObjects
import Testing

@Suite struct PackMachineTests {
    /// The machine, for expectations, which change nothing by themselves.
    private final class Packs {
        private var machine: PackMachine

        init(_ adjust: (inout PackMachine.Limits) -> Void = { _ in }) {
            var limits = PackMachine.Limits()
            limits.bodyBytes = 100
            limits.packBytes = 250
            limits.packBodies = 4
            limits.waitingBytes = 1000
            limits.fullPacks = 2
            adjust(&limits)
            machine = PackMachine(limits: limits)
        }

        func arrive(bytes: Int) -> PackMachine.Ticket? { machine.arrive(bytes: bytes) }
        func begin() -> PackMachine.Pack? { machine.begin() }
        func leave(_ body: PackMachine.Ticket) -> PackMachine.Departure { machine.leave(body) }
        func end(_ pack: PackMachine.Pack) { machine.end(pack) }

        func decide(
            _ pack: PackMachine.Pack
        ) -> (told: [PackMachine.Ticket], left: [PackMachine.Ticket]) { machine.decide(pack) }

        func finish(_ pack: PackMachine.Pack) {
            _ = machine.decide(pack)
            machine.end(pack)
        }
    }

    @Test func aSingleClientNeverWaits() throws {
        let machine = Packs()
        for _ in 0..<5 {
            let body = try #require(machine.arrive(bytes: 10))
            let pack = try #require(machine.begin())
            #expect(pack.bodies == [body])
            #expect(machine.decide(pack).told == [body])
            machine.end(pack)
        }
    }

    @Test func whatComesMeanwhileGoesTogetherWhenAPackEnds() throws {
        let machine = Packs()
        _ = machine.arrive(bytes: 10)
        let first = try #require(machine.begin())
        _ = machine.arrive(bytes: 10)
        let second = try #require(machine.begin())
        let waiting = (0..<3).compactMap { _ in machine.arrive(bytes: 20) }
        #expect(machine.begin() == nil)
        machine.finish(second)
        let third = try #require(machine.begin())
        #expect(third.bodies == waiting)
        machine.finish(first)
        #expect(machine.begin() == nil)
    }

    @Test func aFullPackWaitsForNobodyUpToABound() throws {
        let machine = Packs { ($0.packs, $0.fullPacks) = (1, 3) }
        var bodies: [PackMachine.Ticket] = []
        var packs: [PackMachine.Pack] = []
        for _ in 0..<14 {
            bodies.append(try #require(machine.arrive(bytes: 1)))
            if let pack = machine.begin() { packs.append(pack) }
        }
        // The first alone, then four by four.
        #expect(packs.map(\.bodies.count) == [1, 4, 4])
        machine.finish(packs[0])
        packs.append(try #require(machine.begin()))
        #expect(packs.flatMap(\.bodies) == Array(bodies[..<13]))
        #expect(machine.begin() == nil)
        for pack in packs[1...] { machine.finish(pack) }
        #expect(machine.begin()?.bodies == Array(bodies[13...]))
    }

    @Test func aPackIsBoundedAndTheRestKeepsItsOrder() throws {
        let machine = Packs { ($0.packs, $0.fullPacks) = (1, 1) }
        _ = machine.arrive(bytes: 1)
        let first = try #require(machine.begin())
        let large = (0..<4).compactMap { _ in machine.arrive(bytes: 100) }
        let small = (0..<5).compactMap { _ in machine.arrive(bytes: 1) }
        machine.finish(first)
        var packs: [[PackMachine.Ticket]] = []
        while let pack = machine.begin() {
            packs.append(pack.bodies)
            machine.finish(pack)
        }
        // Two bodies of 100 bytes are less than 250, three are more; four are as many as may go.
        #expect(
            packs == [Array(large[..<2]), Array(large[2...] + small[..<2]), Array(small[2...])])
    }

    @Test func whatIsTooLargeOrTooMuchIsNotForPacks() throws {
        let machine = Packs { ($0.packs, $0.fullPacks) = (1, 1) }
        #expect(machine.arrive(bytes: 101) == nil)
        _ = machine.arrive(bytes: 100)
        let first = try #require(machine.begin())
        for _ in 0..<10 { #expect(machine.arrive(bytes: 100) != nil) }
        #expect(machine.arrive(bytes: 1) == nil)
        machine.finish(first)
        _ = machine.begin()
        #expect(machine.arrive(bytes: 100) != nil)
    }

    @Test func whoLeavesBeforeItsPackBeginsLeavesNothing() throws {
        let machine = Packs { ($0.packs, $0.fullPacks) = (1, 1) }
        _ = machine.arrive(bytes: 1)
        let first = try #require(machine.begin())
        let bodies = (0..<10).compactMap { _ in machine.arrive(bytes: 100) }
        #expect(machine.leave(bodies[0]) == .forgotten)
        #expect(machine.leave(bodies[0]) == .tooLate)
        // Its room is free again.
        #expect(machine.arrive(bytes: 100) != nil)
        machine.finish(first)
        #expect(machine.begin()?.bodies == Array(bodies[1...2]))
    }

    @Test func whoLeavesMeanwhileIsNotToldAndItsTraceIsNamed() throws {
        let machine = Packs { ($0.packs, $0.fullPacks) = (1, 1) }
        _ = machine.arrive(bytes: 1)
        let first = try #require(machine.begin())
        let bodies = (0..<3).compactMap { _ in machine.arrive(bytes: 10) }
        machine.finish(first)
        let pack = try #require(machine.begin())
        #expect(machine.leave(bodies[1]) == .leavesTrace)
        #expect(machine.leave(bodies[1]) == .tooLate)
        let (told, left) = machine.decide(pack)
        #expect(told == [bodies[0], bodies[2]])
        #expect(left == [bodies[1]])
        #expect(machine.leave(bodies[0]) == .tooLate)
        // It is decided and not over: nothing else begins yet.
        _ = machine.arrive(bytes: 1)
        #expect(machine.begin() == nil)
        machine.end(pack)
        #expect(machine.begin() != nil)
    }
}
