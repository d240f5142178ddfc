internal import CyxCore
internal import CyxTables

/// Pages of listings out of the index: by seeking, however many keys the bucket has.
extension BucketIndex {
    /// Entries that are read at once: few at first where groups of keys are skipped.
    private static let chunk = (first: 16, most: 1000)

    /// One head of the index.
    private struct Entry {
        var name: [UInt8]
        var kind: Kind
        var bytes: ArraySlice<UInt8>

        func decoded() throws(StoreError) -> HeadRow {
            try BucketIndex.head(bytes)
        }
    }

    private static func head(_ bytes: ArraySlice<UInt8>) throws(StoreError) -> HeadRow {
        do { return try HeadRow(protobuf: Array(bytes)) } catch {
            throw .corrupt(detail: "a version in the index of a bucket")
        }
    }

    /// Goes through heads in order, wherever the page is, until it wants no more.
    private func walk(
        _ page: inout ListingPage, isGrouping: Bool, limit: Int,
        _ body: (inout ListingPage, Entry) throws(StoreError) -> Void
    ) throws(StoreError) {
        let end = page.end.map { keys.head($0) } ?? keys.range(.heads).to
        let most = min(BucketIndex.chunk.most, max(limit, 1) + 1)
        var count = isGrouping ? min(BucketIndex.chunk.first, most) : most
        var from = page.next.map { keys.head($0) }
        while let start = from {
            let chunk = try store.scan(from: start, to: end, limit: count)
            var skipped = 0
            for entry in chunk {
                let name = ListingKey.name(ofHead: entry.key)
                guard let next = page.next else { return }
                guard !Bytes.precede(name, next) else {
                    skipped += 1
                    continue
                }
                guard let kind = entry.value.first.flatMap(Kind.init) else {
                    throw .corrupt(detail: "a head in the index of a bucket")
                }
                try body(
                    &page, Entry(name: name, kind: kind, bytes: entry.value.dropFirst()))
            }
            guard chunk.count == count, let last = chunk.last else { return }
            // What lies within a group is read in vain: the more of that, the less at once.
            count =
                skipped > chunk.count / 2
                ? min(BucketIndex.chunk.first, most) : min(count * 2, most)
            guard let next = page.next.map({ keys.head($0) }) else { return }
            from = Bytes.precede(last.key, next) ? next : last.key + [0]
        }
    }

    // MARK: Objects

    func objects(
        _ request: ListRequest
    ) throws(StoreError) -> (page: ListingPage, heads: [HeadRow]) {
        var page = ListingPage(
            prefix: request.prefix, start: request.startAfter, delimiter: request.delimiter,
            limit: request.limit)
        var heads: [HeadRow] = []
        try walk(
            &page, isGrouping: request.delimiter != nil, limit: request.limit
        ) { page, entry throws(StoreError) in
            var current: HeadRow?
            switch entry.kind {
            case .marker: return
            case .object: break
            case .headless:
                let head = try entry.decoded()
                try versions(below: head) { version throws(StoreError) in
                    current = version
                    return false
                }
                guard current?.isObject == true else { return }
            }
            guard page.visit(entry.name) == .tell else { return }
            if current == nil { current = try entry.decoded() }
            if let current { heads.append(current) }
        }
        return (page, heads)
    }

    /// The earlier versions of a key that count, the newest first, until `body` wants no more.
    /// `after`: the entry of one of them; nil: from the newest on.
    private func versions(
        below head: HeadRow, after: [UInt8]? = nil,
        _ body: (HeadRow) throws(StoreError) -> Bool
    ) throws(StoreError) {
        guard head.hasEarlier else { return }
        let start = keys.earlier(Array(head.key.utf8))
        let end = Bytes.successor(ofAllWith: start)
        var from = after.map { $0 + [0] } ?? start
        while true {
            let page = try store.scan(from: from, to: end, limit: BucketIndex.chunk.first)
            for entry in page {
                let version = try BucketIndex.head(entry.value[...])
                if head.keeps(version), try !body(version) { return }
            }
            guard page.count == BucketIndex.chunk.first, let last = page.last else { return }
            from = last.key + [0]
        }
    }

    // MARK: Versions

    struct FoundVersion {
        var head: HeadRow
        var isLatest: Bool
    }

    /// Where a page of versions begins.
    private enum Beginning {
        case head
        /// With the newest of the earlier ones, or after the one of that entry.
        case earlier(after: [UInt8]?)
    }

    /// `write`: of the version that a request begins after, by the head of its key; nil: there is none.
    func versions(
        _ request: VersionListRequest, write: (HeadRow) -> VersionID?
    ) throws(StoreError) -> (page: ListingPage, versions: [FoundVersion]) {
        let begins = request.startAfterVersion != nil && !request.startAfter.isEmpty
        var page = ListingPage(
            prefix: request.prefix, start: request.startAfter, delimiter: request.delimiter,
            limit: request.limit, startsWithin: begins)
        let start = Array(request.startAfter.utf8)
        var found: [FoundVersion] = []
        try walk(
            &page, isGrouping: request.delimiter != nil, limit: request.limit
        ) { page, entry throws(StoreError) in
            let head = try entry.decoded()
            let isStart = begins && entry.name == start
            let beginning = isStart ? try self.beginning(of: head, after: write(head)) : .head
            var isLatest = if case .head = beginning { true } else { false }
            try all(of: head, from: beginning) { version throws(StoreError) in
                defer { isLatest = false }
                switch page.visit(entry.name) {
                case .tell:
                    found.append(FoundVersion(head: version, isLatest: isLatest))
                    return true
                case .leaveOut, .tellGroup: return false
                }
            }
        }
        return (page, found)
    }

    /// Where the versions of a key go on after that one.
    private func beginning(
        of head: HeadRow, after version: VersionID?
    ) throws(StoreError) -> Beginning {
        guard let version else { return .head }
        if head.hasVersion, head.write == version.write { return .earlier(after: nil) }
        let row = RowKey(table: .versions, position: version.position, suffix: version.write)
        guard let entry = try self.entry(of: row),
            entry.starts(with: keys.earlier(Array(head.key.utf8)))
        else {
            // It was removed since: what is left of the key is told once more.
            return .head
        }
        return .earlier(after: entry)
    }

    /// The versions of a key, the newest first, until `body` wants no more.
    private func all(
        of head: HeadRow, from beginning: Beginning,
        _ body: (HeadRow) throws(StoreError) -> Bool
    ) throws(StoreError) {
        switch beginning {
        case .head:
            if head.hasVersion, try !body(head) { return }
            try versions(below: head, body)
        case .earlier(let after): try versions(below: head, after: after, body)
        }
    }
}
