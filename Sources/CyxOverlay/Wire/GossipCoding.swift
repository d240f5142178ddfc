internal import CyxCore
internal import CyxCrypto

extension GossipBatch {
    init(_ content: GossipContent) {
        self.init(
            members: content.statements.map(\.record), claims: content.accusations.map(\.claim))
    }
}

extension SyncRequest {
    init(versions: [MemberVersionEntry], sender: MemberStatement, isPartial: Bool = false) {
        self.init(
            members: versions.map {
                MemberVersion(
                    peer: $0.peer.bytes, incarnation: $0.incarnation,
                    state: $0.doubt?.rawValue ?? 0)
            }, sender: sender.record, partial: isPartial)
    }

    /// Nil where an entry is not what it should be or there are too many.
    var versions: [MemberVersionEntry]? {
        guard members.count <= MembershipLimits.members + 1 else { return nil }
        var entries: [MemberVersionEntry] = []
        for member in members {
            guard let peer = PeerID(bytes: member.peer) else { return nil }
            let doubt = Accusation.Kind(rawValue: member.state)
            guard member.state == 0 || doubt != nil else { return nil }
            entries.append(
                MemberVersionEntry(peer: peer, incarnation: member.incarnation, doubt: doubt))
        }
        return entries
    }
}

extension GossipBatch {
    /// Verifies every record that `isNews`; throws if any of them is not what it should be, since an
    /// honest peer passes on only what it has verified itself.
    func statements(
        network: NetworkID, isNews: (PeerID, UInt64) -> Bool
    ) throws(MemberStatementError) -> [MemberStatement] {
        guard members.count + claims.count <= MembershipLimits.receivedBatch else {
            throw .invalid("batch size")
        }
        var statements: [MemberStatement] = []
        for member in members {
            let statement = try MemberStatement.verify(member, network: network, isNews: isNews)
            if let statement { statements.append(statement) }
        }
        return statements
    }

    /// What is said of others; no signature is checked.
    func unverifiedAccusations() throws(MemberStatementError) -> [Accusation] {
        var accusations: [Accusation] = []
        for claim in claims {
            guard let accusation = Accusation(claim) else { throw .invalid("claim") }
            accusations.append(accusation)
        }
        return accusations
    }
}
