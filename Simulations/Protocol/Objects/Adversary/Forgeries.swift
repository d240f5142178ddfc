import CyxCore
import CyxObjects
import CyxTables
import Synchronization

/// Everything that a lying member has written, or tried to, in others' names: what honest peers hold
/// and believe is held against it (Unforgeable).
final class Forgeries: Sendable {
    private struct State {
        var entries: [SegmentID: Set<HolderEntry>] = [:]
        var rows: [RowKey: Set<[UInt8]>] = [:]
        var seen: [RowKey: [UInt8]] = [:]
    }

    private let state = Mutex(State())

    /// Notes elements for a segment's holder row that name who signed nothing of the kind.
    func note(_ elements: [MergeElement], of segment: SegmentID) {
        state.withLock { state in
            for element in elements {
                do {
                    state.entries[segment, default: []]
                        .insert(try HolderEntry(element: element.element))
                } catch { continue }
            }
        }
    }

    func note(_ value: [UInt8], at key: RowKey) {
        _ = state.withLock { $0.rows[key, default: []].insert(value) }
    }

    /// Keeps a row's value to put it back one day; returns what was kept before, if that was another.
    func older(than value: [UInt8], at key: RowKey) -> [UInt8]? {
        state.withLock { state in
            guard let seen = state.seen[key] else {
                state.seen[key] = value
                return nil
            }
            return seen == value ? nil : seen
        }
    }

    func contains(_ entry: HolderEntry, of segment: SegmentID) -> Bool {
        state.withLock { $0.entries[segment]?.contains(entry) ?? false }
    }

    /// Of registers, in order.
    var rows: [(key: RowKey, values: Set<[UInt8]>)] {
        state.withLock { $0.rows }
            .map { (key: $0.key, values: $0.value) }
            .sorted {
                ($0.key.table.rawValue, $0.key.position) < ($1.key.table.rawValue, $1.key.position)
            }
    }
}
