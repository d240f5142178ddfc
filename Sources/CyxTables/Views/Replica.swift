package import CyxCore

/// What a peer durably knows of a partition that it holds or held: its view, whether its rows are
/// complete, how it voted on the successor, and what it must keep frozen for others to pull.
package struct Replica: Hashable, Sendable {
    /// The state of the view before, kept as it was when that view was sealed.
    package struct Frozen: Hashable, Sendable {
        package var view: ViewID
        /// Whether this peer held all of it: only then is it a source for others (A3).
        package var isSource: Bool

        package init(view: ViewID, isSource: Bool) {
            self.view = view
            self.isSource = isSource
        }
    }

    /// Where its rows lie: the partition of its view or, once that has split, one of the parts until
    /// the part's own view is known here. Around its view's, where a recovery knew of no split.
    package var partition: Partition
    /// Proof of the newest view that this peer is or was a member of.
    package var certificate: ViewCertificate
    package var isSynced: Bool
    package var vote = ViewVote()
    package var frozen: Frozen?
    /// Proof of the view after `certificate.view` or a later one, once decided.
    package var successor: ViewCertificate?
    /// The highest ballot of what was removed here: a register that is not here takes none up to it
    /// (`TableService+Floors`). Of the view's own generation, or none.
    package var floor = RegisterVersion.none
    /// From which number on the log of changes tells all that became of rows here (`ChangeLog`).
    package var changesFloor: UInt64 = 0

    package init(certificate: ViewCertificate, isSynced: Bool) {
        partition = certificate.view.partition
        self.certificate = certificate
        self.isSynced = isSynced
    }

    package var view: View { certificate.view }

    /// Whether its view's partition has split or been joined since: that view has ended.
    package var isReshaped: Bool { partition != view.partition }

    /// Whether moreover no view of `partition` is known here yet, to enter or to make way for.
    var seeksView: Bool { partition != newest.view.partition }

    /// Whether operations of `view` are answered here: listed, synced and unsealed.
    package var isServing: Bool { isServing(without: []) }

    /// The same where `broken` rules are not kept.
    func isServing(without broken: Set<TableRule>) -> Bool {
        (isSynced || broken.contains(.servesWhenSynced))
            && (!vote.isSealed || broken.contains(.seals)) && successor == nil && !isReshaped
    }

    /// Whether nothing is under way: a view in service, with nothing kept for the one before.
    package var isAtRest: Bool { isServing && frozen == nil }

    /// The newest certificate known here.
    package var newest: ViewCertificate { successor ?? certificate }

    /// The state that may be pulled from here by members of the view that follows `old`.
    package func isSource(of old: ViewID) -> Bool {
        if view.id == old { return isSynced && (vote.isSealed || successor != nil || isReshaped) }
        return frozen.map { $0.view == old && $0.isSource } ?? false
    }

    /// The view of which what lies here is given to the members of the view that `recovery` proves;
    /// nil: not known here yet, or nothing is left. It need not be the lost view itself, nor all of
    /// its state: of what is lost, any part is worth having.
    package func heritage(for recovery: ViewCertificate) -> ViewID? {
        if certificate == recovery { return frozen?.view }
        guard let successor, view.id.generation < recovery.view.id.generation,
            !recovery.view.id.isNewer(than: successor.view.id)
        else { return nil }
        return view.id
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        writer.write(Replica.format)
        Replica.write(partition, to: &writer)
        Replica.write(certificate, to: &writer)
        writer.write(UInt8(isSynced ? 1 : 0))
        vote.write(to: &writer)
        writer.write(UInt8(frozen == nil ? 0 : frozen?.isSource == true ? 2 : 1))
        Replica.write(frozen?.view.partition ?? partition, to: &writer)
        writer.write(frozen?.view.generation ?? 0)
        writer.write(frozen?.view.epoch ?? 0)
        writer.write(UInt8(successor == nil ? 0 : 1))
        if let successor { Replica.write(successor, to: &writer) }
        floor.write(to: &writer)
        writer.write(changesFloor)
        return writer.bytes
    }

    /// Raised with every change of what lies in a row store. Stores of other formats are refused.
    private static let format: UInt8 = 4

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == Replica.format else {
            throw .unknown(field: "version", value: UInt64(version))
        }
        partition = try Replica.readPartition(from: &reader)
        certificate = try Replica.readCertificate(from: &reader)
        guard certificate.view.partition.overlaps(partition) else {
            throw .outOfRange(field: "partition")
        }
        isSynced = try reader.readUInt8() == 1
        vote = try ViewVote(from: &reader)
        let kind = try reader.readUInt8()
        let frozenPartition = try Replica.readPartition(from: &reader)
        let generation = try reader.readUInt32()
        let epoch = try reader.readUInt32()
        if kind > 0 {
            let id = ViewID(
                partition: frozenPartition, generation: generation, epoch: epoch)
            frozen = Frozen(view: id, isSource: kind == 2)
        }
        if try reader.readUInt8() == 1 {
            successor = try Replica.readCertificate(from: &reader)
        }
        floor = try RegisterVersion(from: &reader)
        changesFloor = try reader.readUInt64()
        try reader.finish()
    }

    private static func write(_ partition: Partition, to writer: inout ByteWriter) {
        writer.write(partition.depth)
        writer.write(partition.index)
    }

    private static func readPartition(
        from reader: inout ByteReader
    ) throws(DecodingError) -> Partition {
        let depth = try reader.readUInt8()
        guard let partition = Partition(depth: depth, index: try reader.readUInt64()) else {
            throw .outOfRange(field: "partition")
        }
        return partition
    }

    private static func write(_ certificate: ViewCertificate, to writer: inout ByteWriter) {
        let bytes = certificate.bytes
        writer.write(UInt32(bytes.count))
        writer.write(bytes)
    }

    private static func readCertificate(
        from reader: inout ByteReader
    ) throws(DecodingError) -> ViewCertificate {
        let count = Int(try reader.readUInt32())
        guard count <= ViewCertificate.byteLimit else { throw .outOfRange(field: "certificate") }
        return try ViewCertificate(bytes: try reader.readBytes(count))
    }
}
