internal import CyxCore

/// Whose turn it is to propose for a row, among the operations of one peer.
///
/// Two proposers of one peer would only outbid each other: a gateway that reads the ranges of an
/// object in parallel reads its head as often, and while a view changes each of those reads may need
/// an identity round. A machine: the shell suspends whoever is told to wait.
struct RowTurns {
    typealias Waiter = UnsafeContinuation<Void, Never>

    /// Rows that somebody proposes for, and who waits for each in order of arrival.
    private var waiting: [RowKey: [Waiter]] = [:]

    /// Whether the caller may go on at once; otherwise it adds itself by `wait`.
    mutating func take(_ key: RowKey) -> Bool {
        guard waiting[key] == nil else { return false }
        waiting[key] = []
        return true
    }

    mutating func wait(_ key: RowKey, _ waiter: Waiter) {
        precondition(waiting[key] != nil, "nobody waits for a free row")
        waiting[key]?.append(waiter)
    }

    /// Ends a turn; returns who has the next one.
    mutating func give(_ key: RowKey) -> Waiter? {
        precondition(waiting[key] != nil, "a turn ends once")
        if waiting[key]?.isEmpty == false { return waiting[key]?.removeFirst() }
        waiting[key] = nil
        return nil
    }
}
