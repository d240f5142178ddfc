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
struct SendQueue: Sendable {
    struct Level: Sendable {
        var streams = Ring(filler: StreamID(0))
        /// Bytes that the first stream has sent in its turn.
        var turnUsed = 0
    }

    private var levels = [Level](repeating: Level(), count: CallUrgency.allCases.count)
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    static var levelCount: Int { CallUrgency.allCases.count }

    func count(level: Int) -> Int { levels[level].streams.count }
    func first(level: Int) -> StreamID { levels[level].streams[0] }

    mutating func append(_ id: StreamID, _ urgency: CallUrgency) {
        levels[urgency.level].streams.append(id)
        count += 1
    }

    /// Notes what the first stream sent; true if its turn is over and others wait.
    mutating func used(_ bytes: Int, level: Int) -> Bool {
        levels[level].turnUsed += bytes
        return levels[level].turnUsed >= Connection.streamTurn && levels[level].streams.count > 1
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
