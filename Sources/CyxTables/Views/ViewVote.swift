package import CyxCore

/// One member's part in the single-shot consensus on its view's successor, in the shape of
/// Tendermint (Buchman, Kwon and Milosevic 2018, algorithm 1): a round's proposer asks for prevotes,
/// and once a quorum gave them, for precommits; a quorum of precommits of one round decides.
///
/// A member votes once per round and never in an earlier one. Precommitting locks the member on the
/// value, and seals it: it serves no operation of its view ever again. Every change of this state
/// is made durable before it is answered. Votes reach the proposer over authenticated connections;
/// with lying members they must also be signed and shown (open networks).
package struct ViewVote: Hashable, Sendable {
    package struct Lock: Hashable, Sendable {
        package var round: UInt32
        package var successor: View

        package init(round: UInt32, successor: View) {
            self.round = round
            self.successor = successor
        }
    }

    package enum Answer: Hashable, Sendable {
        case agreed
        /// A later round, another vote of this round or a lock stands in the way.
        case outvoted(round: UInt32, lock: Lock?)
        /// This member sees no cause for that successor.
        case refused(String)
    }

    /// The rounds that a member may go ahead in one step: bounds what a proposer can burn.
    package static let roundStride: UInt32 = 1 << 20

    /// The highest round voted in; rounds begin at 1.
    package private(set) var round: UInt32 = 0
    /// What was prevoted in `round`.
    package private(set) var prevote: Digest?
    package private(set) var lock: Lock?

    package init() {}

    /// Sealed since the first precommit, for good.
    package var isSealed: Bool { lock != nil }

    /// The rank of the member that may propose in `round`.
    package static func proposer(of round: UInt32, in view: View) -> Int {
        Int(round) % view.members.count
    }

    /// The next round in which the member of that rank may propose, after `seen`.
    package static func nextRound(after seen: UInt32, rank: Int, in view: View) -> UInt32 {
        let count = UInt32(view.members.count)
        let start = min(seen, UInt32.max / 2) + 1
        return start + (UInt32(rank) + count - start % count) % count
    }

    /// Prevotes `successor`, or says why not. `validRound` is a round in which a quorum prevoted
    /// it; `objection` is this member's own judgement, which only a lock elsewhere overrides.
    /// `honoursLock`: false only where a simulation shows why locks count (`TableRule.locksVotes`).
    package mutating func prevote(
        _ successor: View, round newRound: UInt32, validRound: UInt32?, objection: String?,
        honoursLock: Bool = true
    ) -> Answer {
        let lock = honoursLock ? lock : nil
        let digest = successor.digest
        if newRound == round, prevote == digest { return .agreed }
        guard newRound > round, newRound - round <= ViewVote.roundStride else {
            return .outvoted(round: round, lock: lock)
        }
        if let validRound, validRound >= newRound { return .refused("a round of the future") }
        if let lock, lock.successor != successor, (validRound ?? 0) <= lock.round {
            return .outvoted(round: round, lock: lock)
        }
        // A value that a quorum prevoted may have sealed members that wait for the end.
        if lock == nil, validRound == nil, let objection { return .refused(objection) }
        round = newRound
        prevote = digest
        return .agreed
    }

    /// Locks on `successor` and seals this member, unless it has voted in a later round.
    package mutating func precommit(_ successor: View, round newRound: UInt32) -> Answer {
        let digest = successor.digest
        guard
            newRound > round && newRound - round <= ViewVote.roundStride
                || newRound == round && (prevote == nil || prevote == digest)
        else { return .outvoted(round: round, lock: lock) }
        round = newRound
        prevote = digest
        lock = Lock(round: newRound, successor: successor)
        return .agreed
    }

    /// Makes sure that no later vote uses a round up to `seen`, for a proposer about to use the
    /// next: its own prevote follows at once.
    package var seenRound: UInt32 { max(round, lock?.round ?? 0) }

    func write(to writer: inout ByteWriter) {
        writer.write(round)
        writer.write(UInt8(prevote == nil ? 0 : 1))
        writer.write(prevote ?? .zero)
        writer.write(UInt8(lock == nil ? 0 : 1))
        if let lock {
            writer.write(lock.round)
            lock.successor.write(to: &writer)
        }
    }

    init(from reader: inout ByteReader) throws(DecodingError) {
        round = try reader.readUInt32()
        let hasPrevote = try reader.readUInt8() == 1
        let digest = try reader.readDigest()
        prevote = hasPrevote ? digest : nil
        if try reader.readUInt8() == 1 {
            let round = try reader.readUInt32()
            lock = Lock(round: round, successor: try View(from: &reader))
        }
    }
}
