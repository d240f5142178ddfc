internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// Which write of which object: names the rows of its manifest and layout.
struct VersionID: Hashable, Sendable {
    var position: Digest
    /// 16 random bytes.
    var write: [UInt8]

    static let writeBytes = 16
}

/// Writes and reads the rows of one bucket's versions: manifests and layouts.
struct VersionStore: Sendable {
    let context: ObjectContext
    let keys: AccountKeys
    let bucket: BucketKeys

    func seal(_ message: some ProtobufMessage, at key: RowKey) -> [UInt8] {
        Rows.seal(
            message, at: key, keys: (bucket.row, keys.signer),
            random: context.environment.random)
    }

    func open<Message: ProtobufMessage>(
        _ type: Message.Type, _ value: [UInt8], at key: RowKey
    ) throws(RowError) -> Message {
        try Rows.open(type, value, at: key, key: bucket.row)
    }

    // MARK: Manifests

    /// The hash that names the version whose manifest this is.
    static func version(of manifest: [UInt8]) -> Digest { BLAKE3.hash(manifest) }

    /// Writes a manifest's pages; returns how many.
    func writePages(_ manifest: [UInt8], of version: VersionID) async throws(ObjectError) -> Int {
        let pages = pieces(manifest)
        for (number, page) in pages.enumerated() {
            let key = bucket.manifestPage(version.position, write: version.write, page: number)
            try await create(PageRow(bytes: page), at: key)
        }
        return pages.count
    }

    func manifest(
        of head: HeadRow, at position: Digest
    ) async throws(ObjectError) -> ContentManifest {
        var bytes = head.manifest
        if head.manifestPages > 0 {
            guard head.manifestPages <= UInt32(ObjectLimits.pages) else {
                throw .dataLost("the manifest has too many pages")
            }
            bytes = []
            for page in 0..<Int(head.manifestPages) {
                let key = bucket.manifestPage(position, write: head.write, page: page)
                bytes += try await get(PageRow.self, at: key, "a manifest page").bytes
            }
        }
        guard VersionStore.version(of: bytes).bytes == head.version else {
            throw .dataLost("the manifest is not the one that the head names")
        }
        do { return try ContentManifest(protobuf: bytes) } catch {
            throw .dataLost("the manifest cannot be read")
        }
    }

    // MARK: Layouts

    func layoutKey(_ version: VersionID) -> RowKey {
        bucket.layout(version.position, write: version.write)
    }

    /// The sealed layout row, its pages written before it where it needs some.
    func prepareLayout(
        _ segments: [PlacedSegment], generation: UInt64, of version: VersionID
    ) async throws(ObjectError) -> [UInt8] {
        var row = LayoutRow(generation: generation)
        let whole = LayoutPage(segments: segments).protobufBytes()
        if whole.count <= ObjectLimits.pageBytes {
            row.segments = segments
        } else {
            let pages = pieces(whole)
            for (number, page) in pages.enumerated() {
                let key = bucket.layoutPage(
                    version.position, write: version.write, generation: generation, page: number)
                try await put(PageRow(bytes: page), at: key)
            }
            row.pages = UInt32(pages.count)
        }
        return seal(row, at: layoutKey(version))
    }

    func writeLayout(
        _ segments: [PlacedSegment], of version: VersionID
    ) async throws(ObjectError) {
        let sealed = try await prepareLayout(segments, generation: 1, of: version)
        try await withTables { () async throws(TableError) in
            try await context.tables.create(layoutKey(version), sealed)
        }
    }

    /// The layout's segments and generation; nil where there is no layout.
    func layout(
        of version: VersionID
    ) async throws(ObjectError) -> (segments: [PlacedSegment], row: LayoutRow)? {
        let key = layoutKey(version)
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(key)
        }
        guard let value = state.value else { return nil }
        let row: LayoutRow
        do { row = try open(LayoutRow.self, value, at: key) } catch {
            throw .dataLost("a layout cannot be read: \(error)")
        }
        guard row.pages > 0 else { return (row.segments, row) }
        guard row.pages <= UInt32(ObjectLimits.pages) else {
            throw .dataLost("the layout has too many pages")
        }
        var bytes: [UInt8] = []
        for page in 0..<Int(row.pages) {
            let key = bucket.layoutPage(
                version.position, write: version.write, generation: row.generation, page: page)
            bytes += try await get(PageRow.self, at: key, "a layout page").bytes
        }
        do { return (try LayoutPage(protobuf: bytes).segments, row) } catch {
            throw .dataLost("a layout cannot be read")
        }
    }

    func layoutRow(_ value: [UInt8], at key: RowKey) -> LayoutRow? {
        do { return try open(LayoutRow.self, value, at: key) } catch { return nil }
    }

    /// The rows that a version has beside its head, for deletion.
    func rows(of version: VersionID, manifestPages: Int, layout: LayoutRow) -> [RowKey] {
        var rows = (0..<manifestPages).map {
            bucket.manifestPage(version.position, write: version.write, page: $0)
        }
        rows += layoutPages(of: version, layout)
        rows.append(layoutKey(version))
        return rows
    }

    func layoutPages(of version: VersionID, _ layout: LayoutRow) -> [RowKey] {
        (0..<min(Int(layout.pages), ObjectLimits.pages)).map {
            bucket.layoutPage(
                version.position, write: version.write, generation: layout.generation, page: $0)
        }
    }

    // MARK: Rows

    private func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        stride(from: 0, to: bytes.count, by: ObjectLimits.pageBytes).map {
            Array(bytes[$0..<min($0 + ObjectLimits.pageBytes, bytes.count)])
        }
    }

    /// `key`: of a write or an upload that this gateway has just named (`Tables.create`).
    func create(_ message: some ProtobufMessage, at key: RowKey) async throws(ObjectError) {
        let sealed = seal(message, at: key)
        try await withTables { () async throws(TableError) in
            try await context.tables.create(key, sealed)
        }
    }

    /// Pages of layouts are named by a generation, which two that re-code a version may both make.
    private func put(_ message: some ProtobufMessage, at key: RowKey) async throws(ObjectError) {
        let sealed = seal(message, at: key)
        try await withTables { () async throws(TableError) in
            _ = try await context.tables.update(key) { _ in .set(sealed) }
        }
    }

    private func get<Message: ProtobufMessage>(
        _ type: Message.Type, at key: RowKey, _ what: String
    ) async throws(ObjectError) -> Message {
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(key)
        }
        guard let value = state.value else { throw .dataLost("\(what) is missing") }
        do { return try open(type, value, at: key) } catch {
            throw .dataLost("\(what) cannot be read: \(error)")
        }
    }
}
