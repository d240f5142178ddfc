internal import CyxCore
internal import CyxTransport

/// Asks other peers about shards: requests as calls.
struct ShardClient: Sendable {
    let messaging: any PeerMessaging
    let timings: ObjectTimings
    /// Of each call beside others to the same peer.
    var urgency = CallUrgency.foreground

    /// Why a holder gave nothing usable.
    enum Failure: Error, Equatable {
        case call(RPCError)
        /// The answer is not a message, or not what was asked for.
        case garbage
    }

    /// Adds bytes to a shard file; with `core`, finishes it and returns the holder's entry and
    /// receipt.
    func append(
        _ data: [UInt8], to shard: ShardID, at offset: Int, core: [UInt8], root: Digest?,
        peer: PeerID
    ) async throws(Failure) -> (entry: HolderEntry, receipt: StoreReceipt)? {
        let request = AppendShardRequest(
            segment: shard.segment.bytes, index: UInt32(shard.index), offset: UInt64(offset),
            data: data, core: core)
        let answer = try await call(
            peer, .appendShard, request, AppendShardResponse.self, timings.appendTimeout)
        guard let root else { return nil }
        guard let receipt = answer.receipt,
            let entry = receipt.entry(of: shard, root: root, peer: peer)
        else { throw .garbage }
        return (entry, receipt)
    }

    /// A range of a shard file, not yet verified.
    func read(
        _ shard: ShardID, _ range: Range<Int>, from peer: PeerID
    ) async throws(Failure) -> ReadShardResponse {
        let request = ReadShardRequest(
            segment: shard.segment.bytes, index: UInt32(shard.index),
            offset: UInt64(range.lowerBound), length: UInt64(range.count))
        return try await call(
            peer, .readShard, request, ReadShardResponse.self, timings.readTimeout)
    }

    /// The holder's answer to an audit, not judged yet.
    func audit(
        _ challenge: AuditChallenge, at peer: PeerID
    ) async throws(Failure) -> AuditAnswer {
        try await call(
            peer, .auditShard, challenge.request, AuditAnswer.self, timings.audits.answer)
    }

    func delete(_ statement: [UInt8], at peer: PeerID) async throws(Failure) {
        _ = try await call(
            peer, .deleteSegment, DeleteSegmentRequest(statement: statement),
            DeleteSegmentResponse.self, timings.readTimeout)
    }

    func drop(_ shard: ShardID, at peer: PeerID) async throws(Failure) {
        _ = try await call(
            peer, .dropUpload,
            DropUploadRequest(segment: shard.segment.bytes, index: UInt32(shard.index)),
            DropUploadResponse.self, timings.readTimeout)
    }

    /// `suspect` and `index`: whose shard was wrong; nil for an incomplete placement.
    func report(
        _ segment: SegmentID, suspect: PeerID?, index: Int, to custodian: PeerID
    ) async throws(Failure) {
        _ = try await call(
            custodian, .reportSegment,
            ReportSegmentRequest(
                segment: segment.bytes, peer: suspect?.bytes ?? [], index: UInt32(index)),
            ReportSegmentResponse.self, timings.readTimeout)
    }

    /// Tells another custodian that this one rebuilds a segment, or is done with it.
    func claim(
        _ segment: SegmentID, ended: Bool, to custodian: PeerID
    ) async throws(Failure) {
        _ = try await call(
            custodian, .claimSegment, ClaimSegmentRequest(segment: segment.bytes, ended: ended),
            ClaimSegmentResponse.self, timings.readTimeout)
    }

    private func call<Answer: ProtobufMessage>(
        _ peer: PeerID, _ method: RPCMethod, _ request: some ProtobufMessage,
        _ type: Answer.Type, _ timeout: Duration
    ) async throws(Failure) -> Answer {
        let bytes: [UInt8]
        do {
            bytes = try await messaging.call(
                peer, method, request.protobufBytes(), urgency: urgency, timeout: timeout)
        } catch { throw .call(error) }
        do { return try Answer(protobuf: bytes) } catch { throw .garbage }
    }
}
