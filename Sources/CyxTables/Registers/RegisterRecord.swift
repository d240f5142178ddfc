package import CyxCore

/// What one acceptor keeps of one register: a CASPaxos acceptor (Rystsov 2018, §2.2; A6).
///
/// Beside the value travels its history: `changed` is the ballot that first wrote it (identity
/// rounds re-accept it under new ballots), and `lineage` names the changes before it. A writer whose
/// round failed half-way finds out there whether its change took effect after all.
package struct RegisterRecord: Hashable, Sendable {
    /// How many earlier changes a register remembers.
    package static let lineageLimit = 16

    package var promised = RegisterVersion.none
    package var accepted = RegisterVersion.none
    package var changed = RegisterVersion.none
    /// Nil: never written, or deleted.
    package var value: [UInt8]?
    /// Nonces of the changes before `changed`, oldest first.
    package var lineage: [UInt64] = []

    package init() {}

    package var state: RegisterState { RegisterState(value: value, version: changed) }

    /// Whether all that is here is that the register was deleted, with nothing promised since.
    package var isTombstone: Bool { value == nil && accepted != .none && isClean }

    /// Whether no proposal newer than the accepted one may be under way.
    package var isClean: Bool { promised == accepted }

    /// Whether a quorum of such replies is the chosen value: accepted in this very view, or clean.
    /// A value carried over from an earlier view under a newer promise may have lost against a
    /// proposal that only others still hold (A6).
    package func isReadable(in view: ViewID) -> Bool {
        isClean || (accepted.generation == view.generation && accepted.epoch == view.epoch)
    }

    /// The record that follows this one when `ballot` writes `value`.
    package func successor(value: [UInt8]?, ballot: RegisterVersion) -> RegisterRecord {
        var next = reaccepted(under: ballot)
        next.value = value
        next.changed = ballot
        if changed != .none {
            next.lineage = Array((lineage + [changed.nonce]).suffix(RegisterRecord.lineageLimit))
        }
        return next
    }

    /// The same value under a new ballot: an identity round.
    package func reaccepted(under ballot: RegisterVersion) -> RegisterRecord {
        var next = self
        next.promised = ballot
        next.accepted = ballot
        return next
    }

    /// Whether the change with that nonce is part of this value's history; nil when so much has
    /// happened since `base`, the change that it built on, that nobody knows any more.
    package func includes(_ nonce: UInt64, builtOn base: RegisterVersion) -> Bool? {
        if changed.nonce == nonce || lineage.contains(nonce) { return true }
        if changed == base || lineage.contains(base.nonce) { return false }
        return base == .none && lineage.count < RegisterRecord.lineageLimit ? false : nil
    }

    // MARK: Acceptor

    package enum PrepareOutcome: Hashable, Sendable {
        /// `wasClean`: as it was before this promise.
        case promised(RegisterRecord, wasClean: Bool)
        case refused(promised: RegisterVersion)
    }

    /// Promises to accept nothing below `ballot`. `inOrder`, here and below: false only where a
    /// simulation shows why the order counts (`TableRule.ordersBallots`).
    package mutating func prepare(
        _ ballot: RegisterVersion, inOrder: Bool = true
    ) -> PrepareOutcome {
        guard ballot > promised || !inOrder else { return .refused(promised: promised) }
        let wasClean = isClean
        promised = ballot
        return .promised(self, wasClean: wasClean)
    }

    /// Takes `proposal`, unless a newer ballot was promised; returns the promise that refused it.
    package mutating func accept(
        _ proposal: RegisterRecord, inOrder: Bool = true
    ) -> RegisterVersion? {
        guard proposal.accepted >= promised || !inOrder else { return promised }
        self = proposal
        promised = proposal.accepted
        return nil
    }

    /// What a new member makes of the frozen states of several: the highest accepted ballot and
    /// the highest promise, each on its own (A3). `withPromise`: false only where a simulation
    /// shows why the promise counts (`TableRule.pullsPromises`).
    package mutating func absorb(_ other: RegisterRecord, withPromise: Bool = true) {
        let promise = withPromise ? max(promised, other.promised) : accepted
        if other.accepted > accepted { self = other }
        promised = max(promise, accepted)
    }
}

extension RegisterVersion {
    package static let byteCount = 56

    func write(to writer: inout ByteWriter) {
        writer.write(generation)
        writer.write(epoch)
        writer.write(counter)
        writer.write(proposer.digest)
        writer.write(nonce)
    }

    init(from reader: inout ByteReader) throws(DecodingError) {
        self.init(
            generation: try reader.readUInt32(), epoch: try reader.readUInt32(),
            counter: try reader.readUInt64(), proposer: PeerID(try reader.readDigest()),
            nonce: try reader.readUInt64())
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: RegisterVersion.byteCount)
        write(to: &writer)
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        try self.init(from: &reader)
        try reader.finish()
    }
}

extension RegisterRecord {
    /// The accepted ballot of an encoded record, without the rest of it.
    static func accepted(in bytes: [UInt8]) throws(DecodingError) -> RegisterVersion {
        let start = RegisterVersion.byteCount
        guard bytes.count >= 2 * start else { throw .outOfRange(field: "register") }
        return try RegisterVersion(bytes: Array(bytes[start..<2 * start]))
    }

    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 3 * RegisterVersion.byteCount + 8 + (value?.count ?? 0))
        promised.write(to: &writer)
        accepted.write(to: &writer)
        changed.write(to: &writer)
        writer.write(UInt8(lineage.count))
        for nonce in lineage { writer.write(nonce) }
        writer.write(UInt8(value == nil ? 0 : 1))
        if let value { writer.write(value) }
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        promised = try RegisterVersion(from: &reader)
        accepted = try RegisterVersion(from: &reader)
        changed = try RegisterVersion(from: &reader)
        let count = Int(try reader.readUInt8())
        guard count <= RegisterRecord.lineageLimit else { throw .outOfRange(field: "lineage") }
        for _ in 0..<count { lineage.append(try reader.readUInt64()) }
        switch try reader.readUInt8() {
        case 0: value = nil
        case 1:
            guard reader.remaining <= RowLimits.valueBytes else {
                throw .outOfRange(field: "value")
            }
            value = try reader.readBytes(reader.remaining)
        case let other: throw .unknown(field: "value", value: UInt64(other))
        }
        try reader.finish()
    }
}
