import CyxCore
import CyxOverlay

/// A message between two members of a simulated network.
struct Mail {
    enum Purpose {
        case probe(UInt64)
        case answer(UInt64)
        /// Probe this member for me.
        case request(UInt64, PeerID)
        /// A helper's probe, by the number of what it does for another.
        case relayed(Int)
        case relayedAnswer(Int)
        /// What a helper tells who asked it.
        case response(UInt64, reached: Bool)
        case gossip
        case compare([MemberVersionEntry])
        case compared([PeerID])

        /// Whether it answers a call whose caller may have given up.
        var isAnswer: Bool {
            switch self {
            case .answer, .relayedAnswer, .response: true
            case .probe, .request, .relayed, .gossip, .compare, .compared: false
            }
        }
    }

    var from: Int
    var to: Int
    var purpose: Purpose
    /// When whoever called gives up.
    var deadline: Int64
    var content: GossipContent

    init(_ from: Int, _ to: Int, _ purpose: Purpose, deadline: Int64, _ content: GossipContent) {
        self.from = from
        self.to = to
        self.purpose = purpose
        self.deadline = deadline
        self.content = content
    }

    /// Bytes of the request or response; the transport's own are not counted.
    var byteCount: Int {
        let own: Int
        switch purpose {
        case .request: own = 40
        case .probe, .answer, .relayed, .relayedAnswer, .response, .gossip: own = 4
        case .compare(let versions): own = versions.count * 46
        case .compared(let wanted): own = wanted.count * 34
        }
        return own + content.byteCount
    }
}

/// Messages under way, in slots that are used again.
struct MailRoom {
    private var slots: [Mail?] = []
    private var free: [Int] = []

    mutating func put(_ letter: Mail) -> Int {
        guard let slot = free.popLast() else {
            slots.append(letter)
            return slots.count - 1
        }
        slots[slot] = letter
        return slot
    }

    subscript(slot: Int) -> Mail {
        guard let letter = slots[slot] else { preconditionFailure("a slot is read while in use") }
        return letter
    }

    mutating func take(_ slot: Int) -> Mail {
        let letter = self[slot]
        slots[slot] = nil
        free.append(slot)
        return letter
    }
}

extension NetworkModel {
    /// A lost packet of an open connection is sent again after so many round trips (RFC 9002 §6.2.1,
    /// without variance).
    private static let repeatTrips = 1.5

    /// Nanoseconds until a message over an open connection arrives.
    func oneWay(_ from: Int, _ to: Int, _ generator: inout SeededGenerator) -> Int64 {
        let trip = Double(roundTrip(from, to))
        var time = trip / 2
        while Double.random(in: 0..<1, using: &generator) < loss { time += trip * Self.repeatTrips }
        return Int64(time * 1e6)
    }
}
