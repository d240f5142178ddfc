internal import CyxCore
internal import CyxCrypto
internal import CyxStorage

/// Answering audits: one block of 1 KiB of a shard file with its path, signed.
extension ShardHolder {
    /// What the answer covers is read from the store each time: a cached tree proves nothing about
    /// the bytes, and the bytes are compared by whoever asked.
    func audit(_ bytes: [UInt8], from asker: PeerID) async throws -> [UInt8] {
        guard let request = Self.decoded(AuditRequest.self, bytes),
            let challenge = AuditChallenge(request)
        else { throw ShardRefusal.malformed.failure("audit") }
        guard audits.take(asker, now: environment.now()) else {
            throw ShardRefusal.busy.failure("too many audits")
        }
        // One at a time, behind whoever came first: readers are never kept waiting by more than one.
        guard !isAuditing else { throw ShardRefusal.busy.failure("another audit") }
        isAuditing = true
        defer { isAuditing = false }
        let answer = try await answer(challenge)
        return answer.protobufBytes()
    }

    private func answer(_ challenge: AuditChallenge) async throws -> AuditAnswer {
        guard let file = try await finishedFile(challenge.shard) else {
            return try await absence(challenge)
        }
        let length = UInt64(file.fileBytes)
        let block = challenge.block(fileBytes: length)
        let around = ShardTree.bytes(aroundBlock: block, fileLength: length)
        let range = Int(around.lowerBound)..<Int(around.upperBound)
        guard let group = try await self.bytes(of: file, range) else {
            files.remove(challenge.shard)
            return try await absence(challenge)
        }
        let (time, store) = (environment.wallTime(), store.storeID)
        return await environment.blocking.run { [signing] in
            let span = ShardTree.bytes(ofBlock: block, fileLength: length)
            let start = Int(span.lowerBound - around.lowerBound)
            return AuditAnswer.signed(
                challenge, .found, store: store, time: time,
                block: Array(group[start..<start + span.count]),
                proof: file.tree.proof(ofBlock: block, group: group), by: signing)
        }
    }

    /// The word that the file is not here; with the owner's order where that is why.
    private func absence(_ challenge: AuditChallenge) async throws -> AuditAnswer {
        let statement: [UInt8]?
        do throws(StoreError) {
            let name = ShardFile.deletionNote(challenge.shard.segment)
            statement = try await store.note(name).map { Array($0.dropFirst(8)) }
        } catch {
            if case .corrupt = error { statement = nil } else { throw ShardHolder.refusal(error) }
        }
        return AuditAnswer.signed(
            challenge, statement == nil ? .missing : .deleted, store: store.storeID,
            time: environment.wallTime(), statement: statement ?? [], by: signing)
    }
}
