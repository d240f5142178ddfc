package import CyxCore

/// A member's version in one peer's view.
package struct MemberVersionEntry: Hashable, Sendable {
    package var peer: PeerID
    package var incarnation: UInt64
    /// Nil: not doubted.
    package var doubt: Accusation.Kind?

    package init(peer: PeerID, incarnation: UInt64, doubt: Accusation.Kind?) {
        self.peer = peer
        self.incarnation = incarnation
        self.doubt = doubt
    }
}

/// What goes into one gossip message.
package struct GossipContent: Sendable {
    package var statements: [MemberStatement] = []
    package var accusations: [Accusation] = []
    package init() {}
}

/// Gossip messages and the periodic comparison of whole views (push-pull anti-entropy).
extension MembershipMachine {
    /// The updates for the next message to some member.
    package mutating func takeGossip() -> GossipContent {
        var content = GossipContent()
        var digits = 1
        var rest = reachableCount + 2
        while rest > 10 {
            digits += 1
            rest /= 10
        }
        let limit = MembershipLimits.retransmissions * digits
        for (subject, update) in gossip.take(MembershipLimits.batch, limit: limit) {
            switch update {
            case .statement:
                if let statement = statement(of: subject) { content.statements.append(statement) }
            case .accusation(let accusation):
                content.accusations.append(accusation)
            }
        }
        return content
    }

    package func statement(of peer: PeerID) -> MemberStatement? {
        peer == localPeer ? own : entries[peer]?.statement
    }

    /// Every member's version, this peer's own included.
    package func versions() -> [MemberVersionEntry] {
        var versions = [
            MemberVersionEntry(peer: localPeer, incarnation: own.incarnation, doubt: nil)
        ]
        for peer in order {
            guard let entry = entries[peer] else { continue }
            versions.append(
                MemberVersionEntry(
                    peer: peer, incarnation: entry.statement.incarnation, doubt: entry.doubt))
        }
        return versions
    }

    /// Compares another's versions with this view: what it lacks, and whose records it has newer.
    /// Doubts that it holds are weighed as suspicions.
    package mutating func compare(
        _ theirs: [MemberVersionEntry], of sender: PeerID, now: Instant
    ) -> (news: GossipContent, wanted: [PeerID]) {
        var news = GossipContent()
        var wanted: [PeerID] = []
        var seen: Set<PeerID> = []
        for version in theirs where seen.insert(version.peer).inserted {
            weigh(version, of: sender, now: now)
            guard let ours = incarnation(of: version.peer) else {
                if wanted.count < MembershipLimits.wanted { wanted.append(version.peer) }
                continue
            }
            if ours < version.incarnation, version.peer != localPeer {
                if wanted.count < MembershipLimits.wanted { wanted.append(version.peer) }
            } else if ours >= version.incarnation {
                let doubt = entries[version.peer]?.doubt
                let isNewer = ours > version.incarnation
                if isNewer, let statement = statement(of: version.peer) {
                    news.statements.append(statement)
                }
                if let doubt, isNewer || version.doubt != doubt {
                    news.accusations.append(accuse(version.peer, ours, doubt))
                }
            }
        }
        for peer in [localPeer] + order where !seen.contains(peer) {
            guard let statement = statement(of: peer) else { continue }
            news.statements.append(statement)
            if let doubt = entries[peer]?.doubt {
                news.accusations.append(accuse(peer, statement.incarnation, doubt))
            }
        }
        return (news, wanted)
    }

    /// Takes in what a comparison brought. A death that another knows of is only a suspicion here,
    /// unless the member was unknown before: after a partition each side holds the other dead.
    package mutating func handleSync(_ content: GossipContent, from sender: PeerID, now: Instant) {
        var strangers: Set<PeerID> = []
        for statement in content.statements {
            let isStranger = entries[statement.peer] == nil
            if handle(statement, now: now), isStranger { strangers.insert(statement.peer) }
        }
        for accusation in content.accusations {
            if accusation.kind == .dead, strangers.contains(accusation.peer) {
                handle(accusation, now: now)
            } else {
                weigh(
                    MemberVersionEntry(
                        peer: accusation.peer, incarnation: accusation.incarnation,
                        doubt: accusation.kind), of: sender, now: now)
            }
        }
    }

    private mutating func weigh(_ version: MemberVersionEntry, of sender: PeerID, now: Instant) {
        guard version.doubt != nil, version.peer != sender else { return }
        handle(
            Accusation(
                peer: version.peer, incarnation: version.incarnation, kind: .suspect,
                accuser: sender), now: now)
    }

    private func accuse(
        _ peer: PeerID, _ incarnation: UInt64, _ kind: Accusation.Kind
    ) -> Accusation {
        Accusation(peer: peer, incarnation: incarnation, kind: kind, accuser: localPeer)
    }
}

extension MembershipMachine.Entry {
    var doubt: Accusation.Kind? {
        switch state {
        case .alive, .left: nil
        case .suspect: .suspect
        case .dead: .dead
        }
    }
}
