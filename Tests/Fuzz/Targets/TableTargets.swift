import CyxCore
import CyxCrypto

@testable import CyxTables

/// Messages between custodians, and rows and views as they travel and lie on disk.
let tableTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "tables-message", bytesMax: 8192,
        seeds: {
            let view = ViewReference(depth: 8, index: 9 << 56, generation: 1, epoch: 2)
            let certificate = TableSamples.certificate.bytes
            let key = StorageKey.row(TableSamples.key)
            let row = TableSamples.register.bytes
            return [
                [0]
                    + RowRequest(
                        view: view, operation: .accept, key: key,
                        ballot: TableSamples.ballot.bytes, row: row
                    ).protobufBytes(),
                [1]
                    + RowReply(
                        status: .done, row: row, ballot: TableSamples.ballot.bytes, wasClean: true,
                        certificate: certificate, detail: "none",
                        scanned: [ScannedRow(key: key, row: row, isReadable: true)], stamp: 5,
                        floor: TableSamples.ballot.bytes
                    ).protobufBytes(),
                [2]
                    + ViewRequest(
                        operation: .install, view: view, round: 3, certificate: certificate
                    ).protobufBytes(),
                [3]
                    + ViewReply(
                        status: .done, certificate: certificate, round: 1, isComplete: true,
                        holdings: [
                            PartitionHoldingMessage(
                                certificate: certificate, held: view, isSynced: true)
                        ], floor: TableSamples.ballot.bytes
                    ).protobufBytes(),
            ]
        },
        decode: tableMessages.decode),
    FuzzTarget(
        name: "certificate", bytesMax: 6000, trials: 1500,
        seeds: { [TableSamples.certificate.bytes, TableSamples.recovery.bytes] },
        decode: { bytes in
            let certificate = try exactRoundTrip(
                bytes,
                { bytes in try taken(DecodingError.self) { try ViewCertificate(bytes: bytes) } },
                { $0.bytes })
            guard let certificate else { return false }
            if certificate.isValid(adminKey: TableSamples.adminKey), certificate.previous != nil {
                let known = [TableSamples.certificate.bytes, TableSamples.recovery.bytes]
                try BrokenProperty.check(known.contains(bytes), "a forgery")
            }
            return true
        }),
    FuzzTarget(
        name: "recovery-plan", bytesMax: 6000,
        seeds: {
            let recovery = TableSamples.recovery
            return [
                RecoveryPlan(
                    view: recovery.view, previous: recovery.previous,
                    survivors: recovery.recovery?.survivors ?? []
                ).bytes,
                RecoveryPlan(view: recovery.view, previous: nil, survivors: []).bytes,
            ]
        },
        decode: { bytes in
            try exactRoundTrip(
                bytes,
                { bytes in try taken(DecodingError.self) { try RecoveryPlan(bytes: bytes) } },
                { $0.bytes }) != nil
        }),
    FuzzTarget(
        name: "replica", bytesMax: 8192,
        seeds: {
            var replica = Replica(certificate: TableSamples.certificate, isSynced: true)
            _ = replica.vote.precommit(replica.view, round: 4)
            replica.successor = TableSamples.recovery
            replica.frozen = Replica.Frozen(view: replica.view.id, isSource: true)
            replica.floor = TableSamples.ballot
            var part = replica
            part.partition = replica.partition.children?.upper ?? replica.partition
            return [replica.bytes, part.bytes]
        },
        decode: { bytes in
            try roundTrip(
                bytes, { bytes in try taken(DecodingError.self) { try Replica(bytes: bytes) } },
                { $0.bytes }) != nil
        }),
    FuzzTarget(
        name: "scan-cursor", bytesMax: 4096,
        seeds: {
            var cursor = ScanCursor()
            for member in TableSamples.certificate.view.members { cursor.logs[member] = 5 }
            var walking = cursor
            walking.walk?.after = TableSamples.key
            cursor.walk = nil
            return [ScanCursor().bytes, cursor.bytes, walking.bytes]
        },
        decode: { bytes in
            try roundTrip(
                bytes, { bytes in try taken(DecodingError.self) { try ScanCursor(bytes: bytes) } },
                { $0.bytes }) != nil
        }),
    FuzzTarget(
        name: "row",
        seeds: {
            [
                [0]
                    + StoredRow(
                        generation: 1, epoch: 2, content: .register(TableSamples.register)
                    ).bytes,
                [1] + StoredRow(generation: 1, epoch: 2, content: .merge(TableSamples.merge)).bytes,
                [2] + StorageKey.row(TableSamples.key),
                [3] + TableSamples.ballot.bytes,
            ]
        },
        decode: Choice(decoders: [
            { bytes in try storedRow(.init(rawValue: 0x10), bytes) },
            { bytes in try storedRow(.init(rawValue: 0x11), bytes) },
            { bytes in
                try exactRoundTrip(
                    bytes, { StorageKey.decodeRow($0) }, { StorageKey.row($0) }) != nil
            },
            { bytes in
                try exactRoundTrip(
                    bytes,
                    { bytes in try taken(DecodingError.self) { try RegisterVersion(bytes: bytes) }
                    },
                    { $0.bytes }) != nil
            },
        ]).decode),
]

private let tableMessages = Choice(decoders: [
    { bytes in
        // A batch of its own is how these travel.
        let batch = TablesBatch(items: [bytes, bytes])
        try BrokenProperty.check(
            try message(TablesBatch.self, batch.protobufBytes()) == batch, "another batch")
        guard let request = try message(RowRequest.self, bytes) else { return false }
        _ = request.view?.id
        _ = StorageKey.decodeRow(request.key)
        _ = StorageKey.position(ofBound: request.scanEnd)
        _ = try taken(DecodingError.self) { try RegisterVersion(bytes: request.ballot) }
        _ = try storedContent(TableID(rawValue: 0x10), request.row)
        _ = try storedContent(TableID(rawValue: 0x11), request.row)
        return true
    },
    { bytes in
        guard let reply = try message(RowReply.self, bytes) else { return false }
        _ = try taken(DecodingError.self) {
            try ViewCertificate(bytes: reply.certificate).isValid(adminKey: nil)
        }
        for row in reply.scanned {
            if let key = StorageKey.decodeRow(row.key) { _ = try storedContent(key.table, row.row) }
        }
        return true
    },
    { bytes in
        guard let request = try message(ViewRequest.self, bytes) else { return false }
        _ = request.view?.id
        _ = try taken(DecodingError.self) { try View(bytes: request.successor) }
        _ = try taken(DecodingError.self) {
            try ViewCertificate(bytes: request.certificate).isValid(adminKey: nil)
        }
        return true
    },
    { bytes in
        guard let reply = try message(ViewReply.self, bytes) else { return false }
        _ = try taken(DecodingError.self) { try View(bytes: reply.locked) }
        for holding in reply.holdings {
            _ = try taken(DecodingError.self) { try ViewCertificate(bytes: holding.certificate) }
            _ = holding.held?.id
        }
        return true
    },
])

private func storedContent(_ table: TableID, _ bytes: [UInt8]) throws -> StoredRow.Content? {
    try taken(DecodingError.self) { try StoredRow.Content(table: table, bytes: bytes) }
}

private func storedRow(_ table: TableID, _ bytes: [UInt8]) throws -> Bool {
    try roundTrip(
        bytes,
        { bytes in try taken(DecodingError.self) { try StoredRow(table: table, bytes: bytes) } },
        { $0.bytes }) != nil
}

enum TableSamples {
    private static let signing = SigningKey(seed: [UInt8](repeating: 7, count: 32))

    static let key = RowKey(
        table: TableID(rawValue: 0x12), position: Digest(9 << 56, 2, 3, 4), suffix: [1, 2])
    static let ballot = RegisterVersion(
        generation: 1, epoch: 2, counter: 3, proposer: signing.verifyingKey.peerID, nonce: 4)
    static let register = RegisterRecord().successor(value: [1, 2, 3], ballot: ballot)

    static let merge: MergeRow = {
        var row = MergeRow()
        for number in 0..<3 as Range<UInt8> {
            row.put(
                [number],
                MergeEntry(
                    value: number == 1 ? nil : [number, number],
                    stamp: HybridStamp(value: UInt64(number)),
                    writer: signing.verifyingKey.peerID), twoPhase: false)
        }
        return row
    }()

    static let certificate: ViewCertificate = {
        let member = ViewMember(peer: signing.verifyingKey.peerID, store: StoreID(.zero))
        let partition = Partition(holding: .zero, depth: 8)
        let old = View(
            id: ViewID(partition: partition, generation: 0, epoch: 0), members: [member],
            quorum: 1)
        var next = old
        next.id.epoch = 1
        let statement = ViewCertificate.statement(view: next, previous: old, round: 1)
        return ViewCertificate(
            view: next, previous: old, round: 1,
            signatures: [
                ViewSignature(
                    key: signing.verifyingKey.bytes, signature: signing.sign(statement))
            ])
    }()
    static let adminKey = SigningKey(seed: [UInt8](repeating: 8, count: 32)).verifyingKey

    static let recovery: ViewCertificate = {
        let lost = certificate.view
        var next = lost
        next.id.generation = 1
        next.id.epoch = 0
        return RecoveryPlan(view: next, previous: lost, survivors: lost.members)
            .certificate(signedBy: SigningKey(seed: [UInt8](repeating: 8, count: 32)))
    }()
}
