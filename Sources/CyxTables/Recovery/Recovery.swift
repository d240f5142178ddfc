package import CyxCore
package import CyxCrypto

/// The word of a network's admin that a view is lost for good, and what follows it (A5): proof of a
/// view that no quorum could decide on.
///
/// A recovered view begins a generation of its own. Its number is the second of its making, rather
/// than one more than the last: two recoveries of one loss, made apart by mistake, then never go by
/// one name, and the later one wins wherever they meet.
package struct Recovery: Hashable, Sendable {
    /// Whose state the new members merge: all that have any, however little of it the lost view's
    /// quorum would have accepted. More members than a view has, as its change may have been under
    /// way when it was lost.
    package static let survivorLimit = 2 * View.memberLimit

    package var survivors: [ViewMember]
    package var signature: [UInt8]

    package init(survivors: [ViewMember], signature: [UInt8]) {
        self.survivors = survivors
        self.signature = signature
    }

    /// What the admin signs.
    static func statement(view: View, previous: View?, survivors: [ViewMember]) -> [UInt8] {
        var writer = ByteWriter(capacity: 128 + survivors.count * 64)
        writer.write(Array("cyx recovery v1\0".utf8))
        writer.write(previous?.digest ?? .zero)
        writer.write(view.digest)
        write(survivors, to: &writer)
        return writer.bytes
    }

    static func write(_ survivors: [ViewMember], to writer: inout ByteWriter) {
        writer.write(UInt8(survivors.count))
        for survivor in survivors {
            writer.write(survivor.peer.digest)
            writer.write(survivor.store.digest)
        }
    }

    func write(to writer: inout ByteWriter) {
        Recovery.write(survivors, to: &writer)
        writer.write(signature)
    }

    init(from reader: inout ByteReader) throws(DecodingError) {
        survivors = try Recovery.readSurvivors(from: &reader)
        signature = try reader.readBytes(SigningKey.signatureSize)
    }

    static func readSurvivors(
        from reader: inout ByteReader
    ) throws(DecodingError) -> [ViewMember] {
        let count = Int(try reader.readUInt8())
        guard count <= survivorLimit else { throw .outOfRange(field: "survivors") }
        var survivors: [ViewMember] = []
        for _ in 0..<count {
            let peer = PeerID(try reader.readDigest())
            survivors.append(ViewMember(peer: peer, store: StoreID(try reader.readDigest())))
        }
        guard Set(survivors.map(\.peer)).count == count else {
            throw .outOfRange(field: "survivors")
        }
        return survivors
    }
}

/// A recovery that waits for the admin's signature.
package struct RecoveryPlan: Hashable, Sendable {
    package var view: View
    /// The lost view; nil where nobody is left who knows it.
    package var previous: View?
    package var survivors: [ViewMember]

    package init(view: View, previous: View?, survivors: [ViewMember]) {
        self.view = view
        self.previous = previous
        self.survivors = survivors
    }

    package func certificate(signedBy key: SigningKey) -> ViewCertificate {
        let statement = Recovery.statement(view: view, previous: previous, survivors: survivors)
        var certificate = ViewCertificate(view: view, previous: previous, round: 0, signatures: [])
        certificate.recovery = Recovery(survivors: survivors, signature: key.sign(statement))
        return certificate
    }

    /// As it travels to whoever has the key.
    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 2048)
        writer.write(UInt8(1))
        view.write(to: &writer)
        writer.write(UInt8(previous == nil ? 0 : 1))
        previous?.write(to: &writer)
        Recovery.write(survivors, to: &writer)
        return writer.bytes
    }

    package init(bytes: [UInt8]) throws(DecodingError) {
        guard bytes.count <= ViewCertificate.byteLimit else { throw .outOfRange(field: "plan") }
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == 1 else { throw .unknown(field: "version", value: UInt64(version)) }
        view = try View(from: &reader)
        switch try reader.readUInt8() {
        case 0: previous = nil
        case 1: previous = try View(from: &reader)
        case let other: throw .unknown(field: "previous", value: UInt64(other))
        }
        survivors = try Recovery.readSurvivors(from: &reader)
        try reader.finish()
    }
}

extension ViewCertificate {
    func isValid(_ recovery: Recovery, adminKey: VerifyingKey?) -> Bool {
        // Whoever is left may know of no split that there was, or of none of the part's views.
        if let previous, !previous.partition.overlaps(view.partition) { return false }
        guard let adminKey, view.id.generation > previous?.id.generation ?? 0 else { return false }
        let statement = Recovery.statement(
            view: view, previous: previous, survivors: recovery.survivors)
        return adminKey.isValid(signature: recovery.signature, for: statement)
    }

    /// Whether the state of `member` is part of what the recovered view began with.
    func merges(_ member: ViewMember) -> Bool {
        recovery?.survivors.contains(member) ?? false
    }
}
