package import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Multipart uploads (A8): the upload is a register open → completing → done, or open → aborted;
/// completion joins the parts' chunks and segments without moving a byte.
enum MultipartLimits {
    /// Every part but the last is at least this large (S3).
    static let partBytes: UInt64 = 5 << 20
    static let partNumbers = 1...10_000
    /// Bytes of the ID that S3 shows in hexadecimal.
    static let idBytes = 16
    /// What the caller may have kept with a part: of 10,000 of them the head must hold it.
    static let nonceBytes = 32
}

/// An upload's rows, as one of its parts' writers sees them.
private struct UploadHandle: Sendable {
    var bucket: BucketHandle
    var position: Digest
    var id: [UInt8]
    var row: RowKey
    var upload: UploadRow

    /// In whose name the parts are stored, also after their completion.
    var reference: SegmentReference {
        SegmentReference(bucket: bucket.keys.bucket, position: position, owner: .upload(id))
    }
}

extension ObjectGateway {
    package func createUpload(
        _ key: String, in bucket: String, options: PutOptions
    ) async throws -> String {
        try check(key: key)
        let handle = try await handle(bucket)
        let id = context.environment.random.bytes(MultipartLimits.idBytes)
        let row = handle.keys.upload(handle.keys.position(of: key), id)
        let upload = UploadRow(
            key: key, upload: Hex.encode(id),
            startedMs: context.environment.wallTime().milliseconds, headers: options.headers,
            checksums: options.checksums, attributes: options.attributes)
        try await store(handle).create(upload, at: row)
        return upload.upload
    }

    private func upload(
        _ id: String, _ key: String, in bucket: String
    ) async throws -> UploadHandle {
        let handle = try await handle(bucket)
        guard let bytes = Hex.decode(id), bytes.count == MultipartLimits.idBytes else {
            throw ObjectError.noSuchUpload
        }
        let position = handle.keys.position(of: key)
        let row = handle.keys.upload(position, bytes)
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        guard let value = state.value,
            let upload = store(handle).upload(value, at: row)
        else { throw ObjectError.noSuchUpload }
        return UploadHandle(
            bucket: handle, position: position, id: bytes, row: row, upload: upload)
    }

    package func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, options: PartOptions,
        body: any ByteSource
    ) async throws -> PartInfo {
        precondition(options.nonce.count <= MultipartLimits.nonceBytes, "a nonce has 32 bytes")
        guard MultipartLimits.partNumbers.contains(number) else {
            throw ObjectError.invalidPart("part numbers go from 1 to 10000")
        }
        let handle = try await self.upload(upload, key, in: bucket)
        guard handle.upload.state == .open else { throw ObjectError.noSuchUpload }
        let body = try options.prepare?(handle.upload.info) ?? body
        let writer = ObjectWriter(
            context: context, keys: keys, bucket: handle.bucket.keys,
            reference: handle.reference, takesInline: false)
        let row = handle.bucket.keys.part(handle.position, handle.id, number)
        let store = store(handle.bucket)
        let content: WrittenContent
        do {
            content = try await writer.write(body, size: nil)
            try await writer.claim(content)
        } catch {
            await abandon(writer, handle.reference, in: handle.bucket)
            throw error
        }
        let part = PartRow(
            number: UInt32(number), size: content.size, md5: content.md5,
            modifiedMs: context.environment.wallTime().milliseconds, chunks: content.chunks,
            segments: content.segments.map(\.placed),
            checksums: options.checksumsAtEnd?() ?? [:], nonce: options.nonce)
        let sealed = store.seal(part, at: row)
        let replaced: PartRow?
        do throws(TableError) {
            replaced = try await context.tables.update(row) { state -> (_, PartRow?) in
                (.set(sealed), state.value.flatMap { store.part($0, at: row) })
            }
        } catch {
            // A row that may take effect yet keeps what it names; else collection finds it.
            if error == .contended {
                await abandon(writer, handle.reference, in: handle.bucket)
            }
            throw ObjectError(error)
        }
        let kept = Set(part.segmentIDs)
        await discard((replaced?.segmentIDs ?? []).filter { !kept.contains($0) }, of: handle)
        return part.info
    }

    /// Has segments of parts removed that nobody will complete.
    private func discard(_ segments: [SegmentID], of handle: UploadHandle) async {
        guard !segments.isEmpty else { return }
        await cleaner.submit(
            .segments(segments, [handle.reference], hints: []), in: store(handle.bucket))
    }

    package func upload(
        _ id: String, key: String, in bucket: String
    ) async throws -> UploadInfo {
        let handle = try await upload(id, key, in: bucket)
        guard handle.upload.state == .open || handle.upload.state == .completing else {
            throw ObjectError.noSuchUpload
        }
        return handle.upload.info
    }

    private func partRows(of handle: UploadHandle) async throws -> [(key: RowKey, part: PartRow)] {
        try await withTables { () async throws(TableError) in
            try await store(handle.bucket).parts(of: handle.id, at: handle.position)
        }
    }

    package func parts(
        upload: String, key: String, in bucket: String
    ) async throws -> [PartInfo] {
        let handle = try await self.upload(upload, key, in: bucket)
        guard handle.upload.state == .open else { throw ObjectError.noSuchUpload }
        return try await partRows(of: handle).map(\.part.info)
    }

    /// Those that were neither completed nor aborted, and those whose completion was interrupted.
    package func uploads(in bucket: String) async throws -> [UploadInfo] {
        let handle = try await handle(bucket)
        let store = store(handle)
        let rows = try await rows(.uploads, in: handle)
        return rows.compactMap { row -> UploadInfo? in
            guard let upload = row.state.value.flatMap({ store.upload($0, at: row.key) }),
                upload.state == .open || upload.state == .completing
            else { return nil }
            return upload.info
        }.sorted { first, second in
            first.key == second.key
                ? first.id < second.id
                : Bytes.precede(Array(first.key.utf8), Array(second.key.utf8))
        }
    }

    package func completeUpload(
        _ upload: String, key: String, in bucket: String,
        parts requested: [(number: Int, etag: String)], options: CompletionOptions
    ) async throws -> ObjectInfo {
        let handle = try await self.upload(upload, key, in: bucket)
        switch handle.upload.state {
        case .done:
            // A retry of a completion that got through.
            guard let head = try await completed(handle) else { throw ObjectError.noSuchUpload }
            return info(of: head, in: handle.bucket)
        case .open, .completing: break
        default: throw ObjectError.noSuchUpload
        }
        let rows = try await partRows(of: handle)
        let chosen = try MultipartSelection.choose(requested, from: rows.map(\.part))
        if options.condition != .none, handle.upload.state == .open {
            // Leaves the upload as it is where the condition is false already.
            let head = try await readHead(key, in: handle.bucket)
            if let refusal = options.condition.refusal(head) { throw refusal }
        }
        let checksums = try options.checksums?(chosen.map(\.info)) ?? handle.upload.checksums
        var head = MultipartSelection.head(of: handle.upload, chosen, checksums: checksums)
        if !context.keeps(.namesUploads) { head.upload = "" }
        let chunks = chosen.flatMap(\.chunks)
        head.write = newVersion(of: key, in: handle.bucket).write
        let manifest = ContentManifest(chunks: chunks, size: head.size).protobufBytes()
        let version = VersionStore.version(of: manifest)
        do {
            try await advance(handle, to: .completing, version)
        } catch ObjectError.noSuchUpload {
            // Perhaps an earlier try of this one, that nobody heard the end of, has got through since.
            guard let head = try await completed(handle) else { throw ObjectError.noSuchUpload }
            return info(of: head, in: handle.bucket)
        }
        // Only who asks once more can find it completed.
        if handle.upload.state == .completing, let current = try await completed(handle) {
            try await finish(handle, rows, used: current.version == version.bytes ? chosen : nil)
            return info(of: current, in: handle.bucket)
        }
        try await prepare(
            &head, chunks: chunks, placed: chosen.flatMap(\.segments), inline: nil,
            code: MultipartSelection.code(of: chosen), in: handle.bucket)
        let current: HeadRow
        do {
            let condition = options.condition
            current = try await commit(head, in: handle.bucket) { condition.refusal($0) }
        } catch let failure as CommitUnknown {
            // The head may yet take effect: a repetition finds out.
            throw failure.error
        } catch {
            let position = handle.bucket.keys.position(of: key)
            try await discardRows(
                VersionID(position: position, write: head.write), in: handle.bucket)
            if case .noSuchUpload? = error as? ObjectError {
                // The head refuses it for good: what it had become was replaced, or it was aborted.
                try await finish(handle, rows, used: [])
            }
            throw error
        }
        try await finish(handle, rows, used: current.version == version.bytes ? chosen : nil)
        return info(of: current, in: handle.bucket)
    }

    /// The version that the upload has become, if its key still has that.
    private func completed(_ handle: UploadHandle) async throws -> HeadRow? {
        try await withTables { () async throws(TableError) in
            try await store(handle.bucket).version(completedFrom: handle.id, at: handle.position)
        }
    }

    /// Moves the upload's register on; `noSuchUpload` if it went another way. `isRefused`: its head
    /// takes no completion of it any more.
    private func advance(
        _ handle: UploadHandle, to state: UploadState, _ manifest: Digest?,
        isRefused: Bool = false
    ) async throws {
        let store = store(handle.bucket)
        let row = handle.row
        let isOrdered = context.keeps(.ordersUploads)
        let hasEnded = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { current -> (_, Bool) in
                guard var upload = current.value.flatMap({ store.upload($0, at: row) }),
                    upload.state.mayBecome(state) || !isOrdered
                        || isRefused && upload.state == .completing && state == .aborted
                else { return (.abandon, true) }
                upload.state = state
                if let manifest { upload.manifest = manifest.bytes }
                return (.set(store.seal(upload, at: row)), false)
            }
        }
        if hasEnded { throw ObjectError.noSuchUpload }
    }

    /// Marks the upload done; parts that were not used go, and the rows of all. `used`: nil if another
    /// completion of the upload got through, which may have used others; what it left is collected.
    private func finish(
        _ handle: UploadHandle, _ rows: [(key: RowKey, part: PartRow)], used: [PartRow]?
    ) async throws {
        try await advance(handle, to: .done, nil)
        guard let used else { return }
        let kept = Set(used.map(\.number))
        let store = store(handle.bucket)
        let unused = rows.filter { !kept.contains($0.part.number) }.flatMap(\.part.segmentIDs)
        await discard(unused, of: handle)
        await cleaner.submit(.rows(rows.map(\.key)), in: store)
    }

    package func abortUpload(_ upload: String, key: String, in bucket: String) async throws {
        let handle = try await self.upload(upload, key, in: bucket)
        let isRefused =
            if handle.upload.state == .completing, context.keeps(.ordersUploads) {
                try await refuseCompletion(handle)
            } else { false }
        try await advance(handle, to: .aborted, nil, isRefused: isRefused)
        let rows = try await partRows(of: handle)
        let store = store(handle.bucket)
        let segments = rows.flatMap(\.part.segmentIDs)
        await discard(segments, of: handle)
        await cleaner.submit(.rows(rows.map(\.key) + [handle.row]), in: store)
    }

    /// Makes the head refuse an upload whose completion was interrupted. False if that had got
    /// through: it is too late to abort it.
    private func refuseCompletion(_ handle: UploadHandle) async throws -> Bool {
        let store = store(handle.bucket)
        guard try await completed(handle) == nil else {
            try await withTables { () async throws(TableError) in
                try await store.endCompletion(of: handle.id, at: handle.position)
            }
            return false
        }
        return try await withTables { () async throws(TableError) in
            switch try await store.fence(upload: handle.id, at: handle.position) {
            case .fenced: return true
            case .isCurrent, .wasFenced:
                try await store.endCompletion(of: handle.id, at: handle.position)
                return false
            case .refused, .mayBeEarlier: throw .contended
            }
        }
    }
}

extension UploadState {
    func mayBecome(_ next: UploadState) -> Bool {
        switch (self, next) {
        case (.open, .completing), (.completing, .completing), (.completing, .done),
            (.done, .done), (.open, .aborted), (.aborted, .aborted):
            true
        default: false
        }
    }
}

extension PartRow {
    var segmentIDs: [SegmentID] {
        segments.compactMap { placed in placed.core.flatMap { SegmentID(bytes: $0.segment) } }
    }

    var info: PartInfo {
        PartInfo(
            number: Int(number), size: size, etag: Hex.encode(md5),
            modified: WallTime(milliseconds: modifiedMs), checksums: checksums)
    }
}

extension UploadRow {
    var info: UploadInfo {
        UploadInfo(
            id: upload, key: key, started: WallTime(milliseconds: startedMs), headers: headers)
    }
}

extension VersionStore {
    func upload(_ value: [UInt8], at key: RowKey) -> UploadRow? {
        do { return try open(UploadRow.self, value, at: key) } catch { return nil }
    }

    func part(_ value: [UInt8], at key: RowKey) -> PartRow? {
        do { return try open(PartRow.self, value, at: key) } catch { return nil }
    }
}
