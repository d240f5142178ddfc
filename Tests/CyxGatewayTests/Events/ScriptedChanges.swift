import CyxCore
import CyxCrypto
import CyxTables
import Synchronization

@testable import CyxObjects

/// Pages of changes that a test has written down, one each time that somebody asks.
final class ScriptedChanges: ObjectChangeSource {
    private let pages = Mutex<[ObjectChanges]>([])

    func changes(
        in bucket: String, since cursor: ObjectChangeCursor?
    ) async throws -> ObjectChanges {
        pages.withLock { $0.isEmpty ? ScriptedChanges.page([]) : $0.removeFirst() }
    }

    func tell(_ changes: [ObjectChange]) {
        pages.withLock { $0.append(ScriptedChanges.page(changes)) }
    }

    /// What came before is lost.
    func loseAll() { pages.withLock { $0.append(ObjectChanges()) } }

    private static func page(_ changes: [ObjectChange]) -> ObjectChanges {
        ObjectChanges(
            changes: changes, cursor: ObjectChangeCursor(bucket: .zero, scan: ScanCursor()))
    }

    /// A write of `key`; `write` tells it from others.
    static func write(
        _ key: String, _ write: UInt8 = 1, kind: ObjectChange.Kind = .created,
        modified: WallTime
    ) -> ObjectChange {
        let info = ObjectInfo(
            key: key, size: 1, etag: "e", modified: modified, headers: [:], checksums: [:],
            cid: "", redundancy: "")
        return ObjectChange(
            kind: kind, key: key, info: kind == .removed ? nil : info, write: [write])
    }
}

extension MemoryObjects: ObjectChangeSource {
    func changes(
        in bucket: String, since cursor: ObjectChangeCursor?
    ) async throws -> ObjectChanges {
        try await told.changes(in: bucket, since: cursor)
    }
}
