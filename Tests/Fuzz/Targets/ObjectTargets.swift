import CyxCore
import CyxCrypto
import CyxTables

@testable import CyxObjects

/// Rows, manifests, receipts and shard messages, and what is decoded out of them.
let objectTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "object-row", bytesMax: 6000, seeds: { ObjectSamples.rows }, decode: objectRows.decode
    ),
    FuzzTarget(
        name: "grant-row", seeds: { ObjectSamples.grantRows }, decode: grantRows.decode),
    FuzzTarget(
        name: "shard-message", seeds: { ObjectSamples.shardMessages },
        decode: shardMessages.decode),
    FuzzTarget(
        name: "signed-row", bytesMax: 2048, trials: 1500,
        seeds: {
            let core = ObjectSamples.shape.signed(by: ObjectSamples.signing)
            let deletion = SegmentDeletion.signed(
                ObjectSamples.shape.id, by: ObjectSamples.signing)
            let sealed = Rows.sign([1, 2], at: ObjectSamples.headKey, with: ObjectSamples.signing)
            return [[0] + core, [1] + deletion, [2] + sealed, [3] + ObjectSamples.receiptBytes]
        },
        decode: signedRows.decode),
    permitTarget("writer-permit", bytesMax: 200) { ObjectSamples.permit },
    FuzzTarget(
        name: "version-content", bytesMax: 6000,
        seeds: {
            [
                PartRow(
                    number: 1, size: 40, md5: [], chunks: ObjectSamples.chunks,
                    segments: [ObjectSamples.placed]
                ).protobufBytes()
            ]
        },
        decode: { bytes in
            guard let row = try message(PartRow.self, bytes) else { return false }
            let content = try taken(RowError.self) {
                try VersionContent(chunks: row.chunks, placed: row.segments, layoutGeneration: 1)
            }
            guard let content else { return false }
            try BrokenProperty.check(
                content.offsets.count == row.chunks.count + 1, "offsets of other chunks")
            guard content.size > 0 else { return true }
            let chunks = content.chunks(covering: 0..<content.size)
            var next = chunks.lowerBound
            for window in ReadPlan.windows(content, chunks) {
                try BrokenProperty.check(window.lowerBound == next, "windows with a gap")
                next = window.upperBound
                let segment = content.segments[content.segment(of: window.lowerBound)]
                let local =
                    window.lowerBound - segment.firstChunk..<window.upperBound - segment.firstChunk
                let range = segment.shape.shardRange(of: local)
                try BrokenProperty.check(
                    range.upperBound <= segment.shape.fileBytes, "a range past the file")
            }
            try BrokenProperty.check(next == chunks.upperBound, "windows that end early")
            return true
        }),
    FuzzTarget(
        name: "chunk", bytesMax: 2048,
        seeds: {
            let plain = [UInt8](repeating: 7, count: 600)
            return [
                [0, 2, 88] + (Compression.pack(plain) ?? []), [1, 0, 0] + ObjectSamples.slice,
            ]
        },
        decode: { bytes in
            guard bytes.count > 3 else { return false }
            let length = Int(bytes[1]) << 8 | Int(bytes[2])
            let rest = Array(bytes.dropFirst(3))
            if bytes[0] == 0 {
                guard let plain = Compression.unpack(rest, length: length) else { return false }
                try BrokenProperty.check(plain.count == length, "another length")
                return true
            }
            guard let answer = try message(ReadShardResponse.self, rest) else { return false }
            let isValid = ShardSlice.isValid(
                answer, for: 0..<ObjectSamples.file.count, root: ObjectSamples.root,
                fileBytes: ObjectSamples.file.count)
            if isValid {
                try BrokenProperty.check(answer.data == ObjectSamples.file, "another file")
            }
            return isValid
        }),
]

private let objectRows = Choice(decoders: [
    { bytes in try message(BucketRow.self, bytes) != nil },
    { bytes in try message(BucketListingRow.self, bytes) != nil },
    { bytes in try message(HeadRow.self, bytes) != nil },
    { bytes in try message(ContentManifest.self, bytes) != nil },
    { bytes in
        guard let core = try message(SegmentCore.self, bytes) else { return false }
        guard let shape = try taken(RowError.self, { try SegmentShape(core) }) else {
            return false
        }
        let again = try SegmentShape(shape.message)
        try BrokenProperty.check(again == shape, "another shape")
        try BrokenProperty.check(
            shape.fileBytes <= ObjectLimits.segmentBytes + 2 * ObjectLimits.chunkBytes,
            "a shard file without bound")
        return true
    },
    { bytes in try message(LayoutRow.self, bytes) != nil },
    { bytes in try message(LayoutPage.self, bytes) != nil },
    { bytes in try message(PageRow.self, bytes) != nil },
    { bytes in try message(UploadRow.self, bytes) != nil },
    { bytes in
        let entry = try exactRoundTrip(
            bytes, { bytes in try taken(DecodingError.self) { try HolderEntry(element: bytes) } },
            { $0.element })
        return entry != nil
    },
    { bytes in try message(PinRow.self, bytes) != nil },
    { bytes in try message(LeaseRow.self, bytes) != nil },
    { bytes in try message(BucketSettingsRow.self, bytes) != nil },
])

/// What an account lets others do: tokens that it took back, and its links.
private let grantRows = Choice(decoders: [
    { bytes in try message(RevokedTokensRow.self, bytes) != nil },
    { bytes in
        guard let row = try message(SharesRow.self, bytes) else { return false }
        for share in row.shares.compactMap({ Share($0) }) {
            let again = Share(ShareRow(share))
            try BrokenProperty.check(again == share, "another link")
        }
        return true
    },
])

private let shardMessages = Choice(decoders: [
    { bytes in
        guard let request = try message(AppendShardRequest.self, bytes) else { return false }
        _ = ShardID(segment: request.segment, index: request.index)
        return true
    },
    { bytes in
        guard let answer = try message(AppendShardResponse.self, bytes) else { return false }
        return answer.receipt != nil
    },
    { bytes in
        guard let request = try message(ReadShardRequest.self, bytes) else { return false }
        return ShardID(segment: request.segment, index: request.index) != nil
    },
    { bytes in try message(DeleteSegmentRequest.self, bytes) != nil },
    { bytes in try message(DropUploadRequest.self, bytes) != nil },
    { bytes in try message(ReportSegmentRequest.self, bytes) != nil },
    { bytes in
        guard let record = try message(ShardRecord.self, bytes) else { return false }
        guard let shard = ShardID(segment: ObjectSamples.shape.id.bytes, index: 0) else {
            return false
        }
        _ = SegmentShape.tree(of: shard, in: record)
        return true
    },
])

private let signedRows = Choice(decoders: [
    { bytes in
        let found = try taken(RowError.self) {
            try SegmentShape.verified(bytes, of: ObjectSamples.shape.id)
        }
        guard let found else { return false }
        if found.account == ObjectSamples.signing.verifyingKey.accountID {
            try BrokenProperty.check(found.shape == ObjectSamples.shape, "a forged core")
        }
        return true
    },
    { bytes in SegmentDeletion(verifying: bytes) != nil },
    { bytes in
        let found = try taken(RowError.self) { try Rows.verify(bytes, at: ObjectSamples.headKey) }
        if let found, found.account == ObjectSamples.signing.verifyingKey.accountID {
            try BrokenProperty.check(found.payload == [1, 2], "a forged row")
        }
        _ = ObjectRowRules.validate(ObjectSamples.headKey, nil, bytes)
        return found != nil
    },
    { bytes in
        guard let receipt = try message(StoreReceipt.self, bytes) else { return false }
        let holders = ObjectRows.holders(ObjectSamples.shape.id)
        let entry = receipt.entry(
            of: ObjectSamples.shard, root: ObjectSamples.root,
            peer: ObjectSamples.signing.verifyingKey.peerID)
        if let entry {
            try BrokenProperty.check(
                ObjectRowRules.validate(holders, entry.element, bytes) == nil,
                "a good receipt refused")
        }
        return entry != nil
    },
])

/// Permits of which `sample` is the only one that anybody signed.
func permitTarget(
    _ name: String, bytesMax: Int, _ sample: @escaping @Sendable () -> WriterPermit
) -> FuzzTarget {
    FuzzTarget(
        name: name, bytesMax: bytesMax, trials: 1500,
        seeds: { [sample().bytes] },
        decode: { bytes in
            let permit = try exactRoundTrip(
                bytes,
                { bytes in try taken(DecodingError.self) { try WriterPermit(bytes: bytes) } },
                { $0.bytes })
            guard let permit else { return false }
            _ = permit.holds(at: permit.notBefore)
            if permit.isSigned {
                try BrokenProperty.check(permit == sample(), "a forgery")
            }
            return true
        })
}

enum ObjectSamples {
    static let signing = SigningKey(seed: [UInt8](repeating: 3, count: 32))
    static let headKey = RowKey(table: .heads, position: Digest(1, 2, 3, 4))
    static let file = [UInt8](repeating: 5, count: 40)
    static let root = BLAKE3.hash(file)
    static let shape = SegmentShape(
        id: .owned(by: signing.verifyingKey.accountID, random: Digest(9, 8, 7, 6)),
        code: Redundancy(dataShards: 1, parityShards: 2),
        chunkLengths: [40], roots: [root, root, root],
        created: WallTime(milliseconds: 1_700_000_000_000))
    static let chunks = [
        ManifestChunk(key: Digest(1, 1, 1, 1).bytes, length: 24, codedLength: 24, codec: 0)
    ]
    static let placed = PlacedSegment(
        core: shape.message, holders: [UInt8](repeating: 1, count: 3 * Digest.byteCount))
    static let slice = ReadShardResponse(data: file, proof: []).protobufBytes()
    static let shard = ShardID(segment: shape.id, index: 0)
    static let receipt = StoreReceipt.signed(
        shard, root: root, fileBytes: file.count, store: StoreID(Digest(4, 4, 4, 4)),
        nonce: [UInt8](repeating: 2, count: StoreReceipt.nonceBytes), by: signing)
    static let permit = WriterPermit.signed(
        for: signing.verifyingKey.peerID, now: WallTime(milliseconds: 1_700_000_000_000),
        by: signing)
    static var receiptBytes: [UInt8] { receipt.protobufBytes() }

    static var rows: [[UInt8]] {
        [
            [0] + BucketRow(bucket: Array(0..<32), createdMs: 5).protobufBytes(),
            [1]
                + BucketListingRow(name: "photos", bucket: Array(0..<32), createdMs: 5)
                .protobufBytes(),
            [2]
                + HeadRow(
                    key: "a/b", size: 3, etag: "x", modifiedMs: 6,
                    headers: ["content-type": "text/plain", "x": "y"], checksums: ["crc32": "z"],
                    version: Array(0..<32), write: Array(0..<16), data: [1, 2, 3], dataShards: 10,
                    parityShards: 4
                ).protobufBytes(),
            [3] + ContentManifest(chunks: chunks, size: 24).protobufBytes(),
            [4] + shape.message.protobufBytes(),
            [5] + LayoutRow(generation: 1, segments: [placed], pages: 0).protobufBytes(),
            [6] + LayoutPage(segments: [placed]).protobufBytes(),
            [7] + PageRow(bytes: [1, 2, 3]).protobufBytes(),
            [8]
                + UploadRow(
                    key: "a", upload: "b", startedMs: 7, headers: ["c": "d"], state: .completing,
                    manifest: [1]
                ).protobufBytes(),
            [9]
                + HolderEntry(
                    index: 3, peer: signing.verifyingKey.peerID, store: StoreID(Digest(4, 4, 4, 4)),
                    receiptHash: [UInt8](repeating: 2, count: HolderEntry.hashBytes)
                ).element,
            [10]
                + PinRow(
                    bucketName: "photos", bucket: Array(0..<32),
                    head: HeadRow(key: "a", write: Array(0..<16)), createdMs: 5, untilMs: 9,
                    state: .pinned
                ).protobufBytes(),
            [11] + LeaseRow(untilMs: 7, resumedMs: 3).protobufBytes(),
            [12]
                + BucketSettingsRow(versioning: .enabled, documents: ["policy": [1, 2, 3]])
                .protobufBytes(),
        ]
    }

    static var grantRows: [[UInt8]] {
        [
            [0]
                + RevokedTokensRow(
                    tokens: [RevokedTokenRow(id: Array(0..<16), expiresMs: 7)], issuedFromMs: 5
                ).protobufBytes(),
            [1]
                + SharesRow(shares: [
                    ShareRow(
                        id: "a", token: Array(0..<32), bucket: "photos", path: "b/", isFolder: true,
                        isViewOnly: true, createdMs: 5, expiresMs: 9, salt: [1], password: [2],
                        accessKey: "CYK", revokedMs: 7)
                ]).protobufBytes(),
        ]
    }

    static var shardMessages: [[UInt8]] {
        let segment = shape.id.bytes
        return [
            [0]
                + AppendShardRequest(
                    segment: segment, index: 1, offset: 0, data: file,
                    core: shape.signed(by: signing)
                ).protobufBytes(),
            [1] + AppendShardResponse(receipt: receipt).protobufBytes(),
            [2]
                + ReadShardRequest(segment: segment, index: 1, offset: 4, length: 9)
                .protobufBytes(),
            [3]
                + DeleteSegmentRequest(
                    statement: SegmentDeletion.signed(shape.id, by: signing)
                ).protobufBytes(),
            [4] + DropUploadRequest(segment: segment, index: 1).protobufBytes(),
            [5]
                + ReportSegmentRequest(segment: segment, peer: Array(0..<32), index: 1)
                .protobufBytes(),
            [6]
                + ShardRecord(
                    core: shape.signed(by: signing), tree: [], fileBytes: UInt64(file.count)
                ).protobufBytes(),
        ]
    }
}
