import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport
import Testing

private let network = NetworkID(.zero)

private func key(_ number: UInt8) -> SigningKey {
    SigningKey(seed: [UInt8](repeating: number, count: 32))
}

private func id(_ number: UInt8) -> PeerID { key(number).verifyingKey.peerID }

private let store = StoreID(Digest(1, 2, 3, 4))

private func statement(
    _ number: UInt8, _ incarnation: UInt64, mark: StoreMark, store: StoreID? = store
) -> MemberStatement {
    var info = MemberInfo(
        contact: PeerContact(
            peer: id(number), address: SocketAddress(ipv4: (10, 0, 0, number), port: 7700)),
        roles: .storage, zone: "", store: store, allocatedBytes: 100, freeBytes: 50)
    info.mark = mark
    return MemberStatement.sign(info, incarnation: incarnation, key: key(number), network: network)
}

private func machine(_ own: MemberStatement) -> MembershipMachine {
    MembershipMachine(own: own, timings: .devnet, seed: 1, now: start)
}

private let start = Instant(nanoseconds: 0)

/// What is noticed of a store that was put back from an older copy.
@Suite struct StoreMarkTests {
    @Test func aStatementGoesThroughTheWireWithItsMark() throws {
        let mark = StoreMark(count: 7, opening: .max)
        let sent = statement(1, 1000, mark: mark)
        let read = try MemberStatement.verify(sent.record, network: network) { _, _ in true }
        #expect(read?.info.mark == mark)
    }

    @Test func aRestartGoesOnFromWhereTheStoreWas() {
        var machine = machine(statement(0, 5000, mark: StoreMark(count: 8, opening: 2)))
        machine.handle(statement(0, 4000, mark: StoreMark(count: 7, opening: 1)), now: start)
        #expect(!machine.isStoreBehind)
        let other = statement(1, 1000, mark: StoreMark(count: 3, opening: 1))
        machine.handle(other, now: start)
        let restarted = statement(1, 2000, mark: StoreMark(count: 4, opening: 2))
        let restartedIsNews = machine.handle(restarted, now: start)
        #expect(restartedIsNews)
        let later = statement(1, 3000, mark: StoreMark(count: 5, opening: 2))
        let laterIsNews = machine.handle(later, now: start)
        #expect(laterIsNews)
    }

    @Test(arguments: [
        StoreMark(count: 8, opening: 1), StoreMark(count: 9, opening: 1),
    ])
    func aPeerWhoseFormerLifeWasFurtherLearnsThatItsStoreIsBehind(former: StoreMark) {
        var machine = machine(statement(0, 5000, mark: StoreMark(count: 8, opening: 2)))
        // Even where the clock of that life was ahead.
        machine.handle(statement(0, 9000, mark: former), now: start)
        #expect(machine.isStoreBehind)
    }

    @Test func whatAPeerSaysInOneLifeNeverShowsItsStoreBehind() {
        let mark = StoreMark(count: 8, opening: 2)
        var machine = machine(statement(0, 5000, mark: mark))
        let raised = statement(0, 5001, mark: StoreMark(count: 9, opening: 2))
        machine.state(raised)
        machine.handle(raised, now: start)
        machine.handle(statement(0, 5000, mark: mark), now: start)
        #expect(!machine.isStoreBehind)
    }

    @Test func aStoreThatFellBehindIsNotBelievedAndItsPeerIsTold() {
        var machine = machine(statement(0, 5000, mark: .none))
        let known = statement(1, 1000, mark: StoreMark(count: 8, opening: 1))
        machine.handle(known, now: start)
        while !machine.takeGossip(for: id(1)).isEmpty {}
        let copy = statement(1, 2000, mark: StoreMark(count: 6, opening: 2))
        let copyIsNews = machine.handle(copy, now: start)
        #expect(!copyIsNews)
        #expect(machine.statement(of: id(1)) == known)
        let told = machine.takeGossip(for: id(1)).statements
        #expect(told.contains(known))
        // Without a store, or with another one, it is a member like any other.
        let storelessIsNews = machine.handle(
            statement(1, 3000, mark: .none, store: nil), now: start)
        #expect(storelessIsNews)
    }

    @Test func anotherStoreBeginsAnew() {
        var machine = machine(statement(0, 5000, mark: StoreMark(count: 1, opening: 2)))
        machine.handle(
            statement(
                0, 4000, mark: StoreMark(count: 70, opening: 1), store: StoreID(Digest(9, 9, 9, 9))),
            now: start)
        #expect(!machine.isStoreBehind)
    }
}
