internal import CyxCore

/// Updates on their way to the others, each passed on a bounded number of times (SWIM §4.1): of one
/// subject its latest statement, and one accusation per accuser. Those passed on least go first.
struct GossipQueue: Sendable {
    enum Update: Sendable {
        /// The subject's statement, as it stands when it is sent.
        case statement
        case accusation(Accusation)

        var accuser: PeerID? {
            switch self {
            case .statement: nil
            case .accusation(let accusation): accusation.accuser
            }
        }
    }

    private struct Item: Sendable {
        var subject: PeerID
        var update: Update
        var transmissions = 0
        var sequence: UInt64
    }

    private var items: [Item] = []
    private var sequence: UInt64 = 0

    var isEmpty: Bool { items.isEmpty }

    mutating func add(_ subject: PeerID, _ update: Update) {
        sequence += 1
        let accuser = update.accuser
        // A statement answers whatever was said of its subject before.
        items.removeAll {
            $0.subject == subject && (accuser == nil || $0.update.accuser == accuser)
        }
        if items.count >= MembershipLimits.members { items.removeFirst() }
        items.append(Item(subject: subject, update: update, sequence: sequence))
    }

    /// Takes up to `count` updates for one message, and forgets those sent `limit` times.
    mutating func take(_ count: Int, limit: Int) -> [(subject: PeerID, update: Update)] {
        if items.count > count {
            items.sort { left, right in
                left.transmissions != right.transmissions
                    ? left.transmissions < right.transmissions : left.sequence > right.sequence
            }
        }
        let taken = items.prefix(count).map { ($0.subject, $0.update) }
        for index in items.indices.prefix(count) { items[index].transmissions += 1 }
        items.removeAll { $0.transmissions >= limit }
        return taken
    }
}
