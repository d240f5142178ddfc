package import CyxCore
package import CyxCrypto

/// One question to a holder, and what its answer proves.
package struct AuditChallenge: Hashable, Sendable {
    package var period: UInt64
    package var beacon: Digest
    package var shard: ShardID
    /// Tells challenges of one file and period apart.
    package var round: UInt32

    package init(period: UInt64, beacon: Digest, shard: ShardID, round: UInt32 = 0) {
        self.period = period
        self.beacon = beacon
        self.shard = shard
        self.round = round
    }

    package init?(_ request: AuditRequest) {
        guard let beacon = Digest(bytes: request.beacon),
            let shard = ShardID(segment: request.segment, index: request.index)
        else { return nil }
        self.init(period: request.period, beacon: beacon, shard: shard, round: request.round)
    }

    package var request: AuditRequest {
        AuditRequest(
            period: period, beacon: beacon.bytes, segment: shard.segment.bytes,
            index: UInt32(shard.index), round: round)
    }

    /// H(beacon, segment, index, j) (B6).
    package var digest: Digest {
        AuditHash.hash(.challenge) { writer in
            writer.write(period)
            writer.write(beacon)
            writer.write(shard.segment.digest)
            writer.write(UInt16(shard.index))
            writer.write(round)
        }
    }

    /// Which block of a file of that size is asked for.
    package func block(fileBytes: UInt64) -> Int {
        let count = ShardTree.blockCount(fileLength: fileBytes)
        return Int(digest.word0 % UInt64(max(1, count)))
    }
}

extension AuditAnswer {
    private var signedBytes: [UInt8] {
        AuditHash.bytes(.answer) { writer in
            writer.write(challenge)
            writer.write(segment)
            writer.write(index)
            writer.write(store)
            writer.write(UInt32(truncatingIfNeeded: status.rawValue))
            writer.write(UInt64(bitPattern: timeMs))
            writer.write(BLAKE3.hash(block))
            writer.write(BLAKE3.hash(proof))
            writer.write(BLAKE3.hash(statement))
        }
    }

    package static func signed(
        _ challenge: AuditChallenge, _ status: AuditStatus, store: StoreID, time: WallTime,
        block: [UInt8] = [], proof: [Digest] = [], statement: [UInt8] = [], by signing: SigningKey
    ) -> AuditAnswer {
        var answer = AuditAnswer(
            peerKey: signing.verifyingKey.bytes, challenge: challenge.digest.bytes,
            segment: challenge.shard.segment.bytes, index: UInt32(challenge.shard.index),
            store: store.bytes, status: status, timeMs: time.milliseconds, block: block,
            proof: Digests.join(proof), statement: statement)
        answer.signature = signing.sign(answer.signedBytes)
        return answer
    }

    /// Whether its peer signed it.
    fileprivate var isSigned: Bool {
        guard let key = VerifyingKey(bytes: peerKey) else { return false }
        return key.isValid(signature: signature, for: signedBytes)
    }
}

/// What a signed answer means for the peer that gave it.
package enum AuditFinding: Hashable, Sendable {
    /// The block is that of the file for which the peer gave its receipt.
    case passed
    /// It is another one. Anybody can be shown that.
    case wrong
    /// The holder says that it lost the file.
    case missing
    /// The owner had it deleted.
    case deleted
    /// No answer to this challenge at all, or none that the peer signed: proves nothing.
    case unusable
}

extension AuditChallenge {
    /// Judges an answer by the holder's receipt, and by nothing else: whoever has the three comes
    /// to the same result. An auditor also knows the segment's `owner`, who alone may delete it.
    package func judge(
        _ answer: AuditAnswer, by receipt: StoreReceipt, owner: AccountID? = nil
    ) -> AuditFinding {
        guard let claim = receipt.claim, claim.shard == shard, receipt.isSigned,
            answer.peerKey == receipt.peerKey, answer.challenge == digest.bytes,
            answer.segment == receipt.segment, answer.index == receipt.index,
            answer.store == receipt.store, answer.isSigned
        else { return .unusable }
        switch answer.status {
        case .missing: return .missing
        case .deleted:
            // A statement of somebody else's is not yet evidence, since who shows it to a third
            // party may have made it.
            guard let deletion = SegmentDeletion(verifying: answer.statement),
                deletion.segment == shard.segment
            else { return .missing }
            return owner == nil || deletion.account == owner ? .deleted : .unusable
        case .found:
            guard answer.proof.count.isMultiple(of: Digest.byteCount) else { return .wrong }
            do throws(SliceError) {
                try ShardTree.verify(
                    block: answer.block, at: block(fileBytes: receipt.fileBytes),
                    proof: Digests.split(answer.proof), root: claim.root,
                    fileLength: receipt.fileBytes)
                return .passed
            } catch { return .wrong }
        default: return .unusable
        }
    }
}

extension AuditEvidence {
    package init(
        _ receipt: StoreReceipt, _ challenge: AuditChallenge, _ answer: AuditAnswer
    ) {
        self.init(
            receipt: receipt.protobufBytes(), request: challenge.request, answer: answer)
    }

    /// Whom it is against, and what it shows; nil unless it proves a failure by itself.
    package var proven: (peer: PeerID, shard: ShardID, store: StoreID, finding: AuditFinding)? {
        guard let request, let answer, let challenge = AuditChallenge(request) else { return nil }
        let receipt: StoreReceipt
        do { receipt = try StoreReceipt(protobuf: self.receipt) } catch { return nil }
        guard let claim = receipt.claim else { return nil }
        switch challenge.judge(answer, by: receipt) {
        case .wrong: return (claim.entry.peer, claim.shard, claim.entry.store, .wrong)
        case .missing: return (claim.entry.peer, claim.shard, claim.entry.store, .missing)
        case .passed, .deleted, .unusable: return nil
        }
    }

    /// Names the failure: one challenge of one peer counts once, whoever tells of it.
    package var id: Digest {
        AuditHash.hash(.evidence) { writer in
            writer.write(answer?.challenge ?? [])
            writer.write(answer?.store ?? [])
        }
    }
}
