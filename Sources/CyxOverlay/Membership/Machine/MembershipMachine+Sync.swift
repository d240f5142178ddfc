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

    package var isEmpty: Bool { statements.isEmpty && accusations.isEmpty }

    /// What it takes on the wire, to within two bytes per record and per claim; simulations count
    /// with it.
    package var byteCount: Int {
        let records = statements.reduce(0) { $0 + $1.record.byteCount }
        return records + accusations.count * Accusation.byteCount
    }
}

extension SignedMemberRecord {
    /// Both fields and the record's own place in a batch, each with a tag and a length.
    fileprivate var byteCount: Int { record.count + signature.count + 8 }
}

/// Gossip messages and the periodic comparison of whole views (push-pull anti-entropy).
extension MembershipMachine {
    /// The updates for the next message to `receiver`, if that is known. A suspected one is told so
    /// first, so that it can refute at once (Lifeguard §IV-C, the buddy system).
    package mutating func takeGossip(for receiver: PeerID? = nil) -> GossipContent {
        var content = GossipContent()
        if defences.contains(.buddy), let receiver, let doubt = doubt(of: receiver) {
            content.accusations.append(doubt)
        }
        var digits = 1
        // Of a large network only neighbours talk about each other.
        var rest = (partial.map { $0.neighbours.count * 2 } ?? reachableCount) + 2
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
                // The buddy's word is not said twice.
                guard accusation.peer != receiver || content.accusations.isEmpty else { continue }
                content.accusations.append(accusation)
            }
        }
        return content
    }

    /// Forgets what it has not passed on yet: where a simulation begins, everybody has been told.
    package mutating func dropGossip() { gossip = GossipQueue() }

    /// What is said of a member that is suspected or being checked, for itself to refute.
    private func doubt(of peer: PeerID) -> Accusation? {
        guard let entry = entries[peer] else { return nil }
        let hinting = probes.first { $0.target == peer && $0.hintedBy != nil }?.hintedBy
        guard let accuser = entry.suspicion?.accusers.first?.peer ?? hinting else { return nil }
        return Accusation(
            peer: peer, incarnation: entry.statement.incarnation, kind: .suspect, accuser: accuser)
    }

    package func statement(of peer: PeerID) -> MemberStatement? {
        peer == localPeer ? own : entries[peer]?.statement
    }

    /// The version of every member that this peer watches, and its own.
    package func versions() -> [MemberVersionEntry] {
        var versions = [
            MemberVersionEntry(peer: localPeer, incarnation: own.incarnation, doubt: nil)
        ]
        for peer in order where isWatched(peer) {
            guard let entry = entries[peer] else { continue }
            versions.append(
                MemberVersionEntry(
                    peer: peer, incarnation: entry.statement.incarnation, doubt: entry.doubt))
        }
        return versions
    }

    /// Compares another's versions with this view: what it lacks, and whose records it has newer.
    /// Doubts that it holds are weighed as suspicions. Whoever `isPartial` has sent only versions of
    /// members that it watches, and is shown only some others.
    package mutating func compare(
        _ theirs: [MemberVersionEntry], of sender: PeerID, isPartial: Bool = false, now: Instant
    ) -> (news: GossipContent, wanted: [PeerID]) {
        var news = GossipContent()
        var wanted: [PeerID] = []
        var seen: Set<PeerID> = []
        for version in theirs where seen.insert(version.peer).inserted {
            weigh(version, of: sender, now: now)
            guard let ours = incarnation(of: version.peer) else {
                if wouldAdmit(version.peer), wanted.count < MembershipLimits.wanted {
                    wanted.append(version.peer)
                }
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
                if doubt != nil, isNewer || version.doubt != doubt {
                    news.accusations += accusations(of: version.peer)
                }
            }
        }
        let showsAll = !isPartial && !self.isPartial
        hear(sender, now: now)
        let others = showsAll ? order : shown(to: sender, except: seen, now: now)
        for peer in [localPeer] + others where !seen.contains(peer) {
            // Who has not met the dead does not miss them.
            guard entries[peer]?.state != .dead, let statement = statement(of: peer) else {
                continue
            }
            news.statements.append(statement)
            news.accusations += accusations(of: peer)
        }
        return (news, wanted)
    }

    /// This peer's own doubt of a member, as a hint, and what others signed.
    private func accusations(of peer: PeerID) -> [Accusation] {
        guard let entry = entries[peer], let doubt = entry.doubt else { return [] }
        let signed =
            entry.suspicion?.accusers.map(\.accusation).filter { !$0.isHint } ?? entry.evidence
        let hint = Accusation(
            peer: peer, incarnation: entry.statement.incarnation, kind: doubt, accuser: localPeer)
        return [hint] + signed
    }

    /// Takes in what a comparison brought. A death that another knows of is only a hint here: after
    /// a partition each side holds the other dead.
    package mutating func handleSync(_ content: GossipContent, from sender: PeerID, now: Instant) {
        hear(sender, now: now)
        let dead = Set(content.accusations.filter { $0.kind == .dead }.map(\.peer))
        for statement in content.statements {
            if entries[statement.peer] == nil, dead.contains(statement.peer) { continue }
            handle(statement, now: now)
        }
        for var accusation in content.accusations {
            if !defences.contains(.witnesses) { accusation.kind = .suspect }
            handle(accusation, now: now)
        }
    }

    /// What the other doubts by its own word.
    private mutating func weigh(_ version: MemberVersionEntry, of sender: PeerID, now: Instant) {
        guard let doubt = version.doubt, version.peer != sender else { return }
        let kind = defences.contains(.witnesses) ? doubt : .suspect
        handle(
            Accusation(
                peer: version.peer, incarnation: version.incarnation, kind: kind, accuser: sender),
            now: now)
    }
}

extension MembershipMachine.Entry {
    var doubt: Accusation.Kind? {
        switch state {
        case .alive, .away, .left: nil
        case .suspect: .suspect
        case .dead: .dead
        }
    }
}
