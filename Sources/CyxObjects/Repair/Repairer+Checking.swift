internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// Looking at shards that somebody said are bad.
extension Repairer {
    func report(_ bytes: [UInt8], by reporter: PeerID) throws -> [UInt8] {
        guard let request = ShardHolder.decoded(ReportSegmentRequest.self, bytes),
            let shard = ShardID(segment: request.segment, index: request.index)
        else { throw ShardRefusal.malformed.failure("report") }
        let suspect = PeerID(bytes: request.peer)
        let report = Report(
            segment: shard.segment, peer: suspect, index: shard.index, isOwn: suspect == reporter)
        if reports.count < Repairer.reports, !reports.contains(report) { reports.append(report) }
        return ReportSegmentResponse().protobufBytes()
    }

    func checkReports() async {
        let batch = reports
        reports = []
        for report in batch {
            if machine.segments[report.segment] == nil { await load(report.segment) }
            guard let segment = machine.segments[report.segment] else { continue }
            guard let peer = report.peer else {
                machine.hasten(report.segment)
                continue
            }
            let shard = ShardID(segment: report.segment, index: report.index)
            guard report.index < segment.shape.code.shards, await isHolder(peer, of: shard),
                let isGood = await isGood(shard, segment.shape, at: peer)
            else { continue }
            if isGood {
                guard report.isOwn, isDraining(peer) else { continue }
                machine.markLeaving(shard, at: peer, peers, now: context.environment.now())
            } else {
                logger.warning(
                    "a reported shard is bad",
                    [("segment", "\(report.segment)"), ("peer", "\(peer)")])
                noteBad(shard, at: peer)
            }
        }
    }

    /// Whether the rows name `peer` for `shard`; readers also report whom they remember of before.
    func isHolder(_ peer: PeerID, of shard: ShardID) async -> Bool {
        if machine.isHolder(peer, of: shard) { return true }
        await load(shard.segment)
        return machine.isHolder(peer, of: shard)
    }

    func isDraining(_ peer: PeerID) -> Bool {
        context.membership.snapshot.members[peer]?.info.isDraining ?? false
    }

    /// Reads a shard file at its holder and checks it; nil if the holder does not answer, which is
    /// left to membership.
    func isGood(_ shard: ShardID, _ shape: SegmentShape, at peer: PeerID) async -> Bool? {
        var offset = 0
        while offset < shape.fileBytes {
            let range = offset..<min(offset + SegmentRebuilder.windowBytes, shape.fileBytes)
            do throws(ShardClient.Failure) {
                let answer = try await context.with(.background).client
                    .read(shard, range, from: peer)
                let root = shape.roots[shard.index]
                let isValid = await context.environment.blocking.run {
                    ShardSlice.isValid(answer, for: range, root: root, fileBytes: shape.fileBytes)
                }
                guard isValid else { return false }
            } catch {
                switch error {
                case .garbage: return false
                case .call(let error): return ShardRefusal(error) == .notFound ? false : nil
                }
            }
            offset = range.upperBound
        }
        return true
    }

    /// Reads shards of a segment again that were found bad.
    func recheck(_ id: SegmentID) async {
        guard let segment = machine.segments[id] else { return }
        for entry in machine.doubted(segment, peers) {
            let shard = ShardID(segment: id, index: entry.index)
            guard await isGood(shard, segment.shape, at: entry.peer) == true else { continue }
            machine.markGood(entry, of: id, peers, now: context.environment.now())
        }
    }
}
