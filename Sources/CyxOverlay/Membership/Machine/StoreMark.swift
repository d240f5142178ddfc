/// How far a peer's store of rows has come. One that was put back from an older copy has forgotten
/// what it promised and accepted since; it has the same store ID, but others remember its mark
/// (`decisions.md` A5: a restored store counts as a dead member).
///
/// The mark is durable before it is told, grows with every opening, and again every so often while
/// rows are written. So a copy is told from the store that it was made of unless it is younger than
/// the last mark that others have heard of.
package struct StoreMark: Hashable, Sendable {
    package var count: UInt64
    /// Random, of one opening: tells a copy that has caught up in count from the original.
    package var opening: UInt64

    package init(count: UInt64, opening: UInt64) {
        self.count = count
        self.opening = opening
    }

    /// Says nothing.
    package static let none = StoreMark(count: 0, opening: 0)

    /// Whether a store with this mark cannot be what a store with `earlier` became.
    func isBehind(_ earlier: StoreMark) -> Bool {
        guard self != .none, earlier != .none else { return false }
        return count < earlier.count || count == earlier.count && opening != earlier.opening
    }
}

/// Stores that were put back from older copies: their peers hear it from others.
extension MembershipMachine {
    /// This peer has begun to say how far its store is.
    mutating func noteOpening() {
        if opened == .none { opened = own.info.mark }
    }

    /// Compares this peer's store with what a statement of another life of it says: one that comes
    /// before this life has at most the mark that this one began from.
    mutating func compareStore(_ former: MemberStatement) {
        let mark = former.info.mark
        guard former.info.store == own.info.store, own.info.store != nil, mark != .none,
            mark.opening != opened.opening, opened.isBehind(mark), !isStoreBehind
        else { return }
        isStoreBehind = true
        changed = true
    }

    /// Whether `statement` is that of a store which others have seen further. It is not believed,
    /// and what was said before goes to the others again, so that its peer hears of it too.
    mutating func isBehind(_ statement: MemberStatement, _ known: MemberStatement) -> Bool {
        guard statement.info.store == known.info.store, statement.info.store != nil,
            statement.info.mark.isBehind(known.info.mark)
        else { return false }
        spread(statement.peer, .statement)
        return true
    }

    /// Whether a statement of this peer is worth checking although it is not its latest.
    package func mayShowStore(_ incarnation: UInt64) -> Bool {
        opened != .none && !isStoreBehind && incarnation < firstIncarnation
    }
}
