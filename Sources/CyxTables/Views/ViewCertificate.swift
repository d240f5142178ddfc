package import CyxCore
package import CyxCrypto

/// A member's signature under a decision.
package struct ViewSignature: Hashable, Sendable {
    package var key: [UInt8]
    package var signature: [UInt8]

    package init(key: [UInt8], signature: [UInt8]) {
        self.key = key
        self.signature = signature
    }
}

/// Proof that a view follows the one before: a quorum's precommits of one round, or else, where a
/// quorum is lost for good, the word of the network's admin (A5).
///
/// A genesis view has no predecessor and is signed by its founder, its one member. The certificate
/// carries the view before, so that a new member knows whom to pull the frozen state from. Who
/// holds only this certificate trusts that the view before was real; chains back to genesis, and
/// checking them over disjoint paths, come with open networks (A3).
package struct ViewCertificate: Hashable, Sendable {
    package static let byteLimit = 16 << 10

    package var view: View
    /// Nil for a genesis view, and for a recovery of a partition of which nobody is left.
    package var previous: View?
    package var round: UInt32
    package var signatures: [ViewSignature]
    /// Nil: decided by votes.
    package var recovery: Recovery?

    package init(view: View, previous: View?, round: UInt32, signatures: [ViewSignature]) {
        self.view = view
        self.previous = previous
        self.round = round
        self.signatures = signatures
    }

    /// What a member of `previous` signs when it precommits `view` in `round`.
    package static func statement(view: View, previous: View?, round: UInt32) -> [UInt8] {
        var writer = ByteWriter(capacity: 96)
        writer.write(Array("cyx view v1\0".utf8))
        writer.write(previous?.digest ?? .zero)
        writer.write(round)
        writer.write(view.digest)
        return writer.bytes
    }

    package static func genesis(_ view: View, key: SigningKey) -> ViewCertificate {
        let signature = key.sign(statement(view: view, previous: nil, round: 0))
        return ViewCertificate(
            view: view, previous: nil, round: 0,
            signatures: [ViewSignature(key: key.verifyingKey.bytes, signature: signature)])
    }

    /// Whom the view concerns: its members, and those whose state they pull.
    package var concerned: [PeerID] {
        var peers = view.peers
        for peer in (previous?.peers ?? []) + (recovery?.survivors.map(\.peer) ?? [])
        where !peers.contains(peer) {
            peers.append(peer)
        }
        return peers
    }

    /// Whether the view before was of the partition that has split into this one and another.
    package var isSplit: Bool { recovery == nil && previous?.partition == view.partition.parent }

    /// Of a split: proof of the view of the other partition, by the same decision.
    package var sibling: ViewCertificate? {
        guard isSplit, let partition = view.partition.sibling else { return nil }
        var other = self
        other.view.id.partition = partition
        return other
    }

    /// What was voted on: of a split the view of the lower partition. The upper one begins with the
    /// same members at the same epoch, so that one decision proves both.
    private var decided: View {
        var view = view
        if isSplit, let lower = view.partition.parent?.children?.lower {
            view.id.partition = lower
        }
        return view
    }

    /// Whether enough members of the view before signed it, each once, or the admin whose key is
    /// `adminKey` did; where there is none, no recovery is valid.
    package func isValid(
        adminKey: VerifyingKey?, without broken: Set<TableRule> = []
    ) -> Bool {
        if let recovery { return isValid(recovery, adminKey: adminKey) }
        let signers = previous ?? view
        if let previous {
            guard view.follows(previous) else { return false }
        } else {
            // Only recoveries begin a generation: a founder by its own word begins none.
            guard view.id.generation == 0, view.id.epoch == 0, view.members.count == 1 else {
                return false
            }
        }
        let statement = ViewCertificate.statement(view: decided, previous: previous, round: round)
        var valid: Set<PeerID> = []
        for entry in signatures {
            guard let key = VerifyingKey(bytes: entry.key), signers.contains(key.peerID),
                !valid.contains(key.peerID), key.isValid(signature: entry.signature, for: statement)
            else { return false }
            valid.insert(key.peerID)
        }
        return valid.count >= signers.precommitsNeeded(for: view, without: broken)
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 2048)
        writer.write(UInt8(recovery == nil ? 1 : 2))
        view.write(to: &writer)
        writer.write(UInt8(previous == nil ? 0 : 1))
        previous?.write(to: &writer)
        if let recovery {
            recovery.write(to: &writer)
            return writer.bytes
        }
        writer.write(round)
        writer.write(UInt8(signatures.count))
        for signature in signatures {
            writer.write(signature.key)
            writer.write(signature.signature)
        }
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        guard bytes.count <= ViewCertificate.byteLimit else {
            throw .outOfRange(field: "certificate")
        }
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == 1 || version == 2 else {
            throw .unknown(field: "version", value: UInt64(version))
        }
        view = try View(from: &reader)
        switch try reader.readUInt8() {
        case 0: previous = nil
        case 1: previous = try View(from: &reader)
        case let other: throw .unknown(field: "previous", value: UInt64(other))
        }
        signatures = []
        if version == 2 {
            round = 0
            recovery = try Recovery(from: &reader)
            try reader.finish()
            return
        }
        round = try reader.readUInt32()
        let count = Int(try reader.readUInt8())
        guard count <= View.memberLimit else { throw .outOfRange(field: "signatures") }
        for _ in 0..<count {
            let key = try reader.readBytes(VerifyingKey.byteCount)
            let signature = try reader.readBytes(SigningKey.signatureSize)
            signatures.append(ViewSignature(key: key, signature: signature))
        }
        try reader.finish()
    }
}
