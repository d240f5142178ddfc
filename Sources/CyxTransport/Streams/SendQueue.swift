/// How soon a message is sent beside others to the same peer.
package enum CallUrgency: UInt8, Sendable, CaseIterable {
    /// What somebody waits for.
    case foreground = 0
    /// Repair and other traffic that takes what foreground leaves.
    case background = 1
    /// Small messages that must not wait, such as signs of life.
    case immediate = 2

    /// Levels in the order in which they are served.
    var level: Int {
        switch self {
        case .immediate: 0
        case .foreground: 1
        case .background: 2
        }
    }
}

/// The streams of a connection that have something to send: one level of urgency after the other
/// (as RFC 9218 §10 has it for HTTP), and within a level in turn.
///
/// RFC 9218 §10 recommends that nothing starves and leaves open how. Here a level that waits earns
/// a share of what the levels before it send, and is served first once it has earned a packet
/// (deficit round robin, Shreedhar and Varghese 1995). So repair goes on beside a foreground that
/// never pauses, and delays any message of that by no more than a packet.
struct SendQueue: Sendable {
    /// A level that waits gets at least one byte for so many of the levels before it.
    static let guaranteedShare = 16
    /// Bytes that a level has to earn first, about a packet.
    static let deficitMin = 1200

    struct Level: Sendable {
        var streams = Ring(filler: StreamID(0))
        /// Bytes that the first stream has sent in its turn.
        var turnUsed = 0
        /// Bytes that the levels before sent while this one waited, less `guaranteedShare` times
        /// what it sent itself; at least 0, and at most what makes it overdue.
        var passedOver = 0
    }

    private var levels = [Level](repeating: Level(), count: CallUrgency.allCases.count)
    private(set) var count = 0
    private var isAnyPassedOver = false

    var isEmpty: Bool { count == 0 }
    static var levelCount: Int { CallUrgency.allCases.count }

    func count(level: Int) -> Int { levels[level].streams.count }
    func first(level: Int) -> StreamID { levels[level].streams[0] }

    mutating func append(_ id: StreamID, _ urgency: CallUrgency) {
        levels[urgency.level].streams.append(id)
        count += 1
    }

    /// A level that has waited for its share and goes before the others; the least urgent one.
    var overdueLevel: Int? {
        // As is the rule, all that waits is equally urgent or nobody was passed over.
        guard isAnyPassedOver else { return nil }
        return levels.indices.last {
            levels[$0].streams.count > 0
                && levels[$0].passedOver >= SendQueue.guaranteedShare * SendQueue.deficitMin
        }
    }

    /// Notes what the first stream sent; true if its turn is over and others wait.
    @inline(__always)
    mutating func used(_ bytes: Int, level: Int) -> Bool {
        levels[level].turnUsed += bytes
        charge(bytes, to: level)
        return levels[level].turnUsed >= Connection.streamTurn && levels[level].streams.count > 1
    }

    private mutating func charge(_ bytes: Int, to level: Int) {
        guard isAnyPassedOver || levels[level].streams.count < count else { return }
        isAnyPassedOver = false
        levels[level].passedOver = max(
            0, levels[level].passedOver - SendQueue.guaranteedShare * bytes)
        for later in levels.indices {
            if levels[later].streams.count == 0 {
                // Who has nothing to send saves nothing up.
                levels[later].passedOver = 0
            } else if later > level {
                levels[later].passedOver = min(
                    levels[later].passedOver + bytes,
                    SendQueue.guaranteedShare * SendQueue.deficitMin)
            }
            if levels[later].passedOver > 0 { isAnyPassedOver = true }
        }
    }

    /// Takes the first stream out, or puts it at the end.
    mutating func rotate(level: Int, keep: Bool) {
        let id = levels[level].streams[0]
        levels[level].streams.removeFirst(1)
        levels[level].turnUsed = 0
        if keep {
            levels[level].streams.append(id)
        } else {
            count -= 1
        }
    }
}
