internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// All keys of an account lie in one register: they are few, change seldom, and are wanted together.
///
/// Whoever runs one of the account's gateways has its seed, so that the row needs no other lock than
/// the account's own (decisions §E foresees gateways that have a delegation only: those will need a
/// copy of each key's secret under a key of their own).
extension ObjectGateway: AccessKeyService {
    /// Some 1.3 KiB each at most: all fit a row.
    static let accessKeysMax = 500
    private static let idBytes = 8
    private static let secretBytes = 20

    private var accessKeysRow: RowKey {
        let position = OwnedPosition.bound(
            BLAKE3.hash(Array("cyx account access keys v1\0".utf8) + keys.account.digest.bytes),
            to: keys.account)
        return RowKey(table: .accessKeys, position: position)
    }

    package func createAccessKey(
        _ name: String, _ limits: AccessKeyLimits
    ) async throws -> AccessKey {
        let random = context.environment.random
        let key = AccessKey(
            name: name, id: "CYK" + Hex.encode(random.bytes(ObjectGateway.idBytes)).uppercased(),
            secret: Hex.encode(random.bytes(ObjectGateway.secretBytes)), limits: limits,
            created: context.environment.wallTime())
        try await changeAccessKeys { keys in
            guard !keys.contains(where: { $0.name == name }) else { throw ObjectError.keyExists }
            guard keys.count < ObjectGateway.accessKeysMax else { throw ObjectError.tooManyKeys }
            keys.append(AccessKeyRow(key))
        }
        return key
    }

    package func revokeAccessKey(_ name: String) async throws {
        try await changeAccessKeys { keys in
            guard keys.contains(where: { $0.name == name }) else {
                throw ObjectError.noSuchAccessKey
            }
            keys.removeAll { $0.name == name }
        }
    }

    package func accessKeys() async throws -> [AccessKey] {
        knownAccessKeys = nil
        return try await readAccessKeys().sorted { $0.name < $1.name }
    }

    package func accessKey(id: String) async throws -> AccessKey? {
        try await readAccessKeys().first { $0.id == id }
    }

    private func readAccessKeys() async throws -> [AccessKey] {
        let now = context.environment.now()
        if let known = knownAccessKeys, now - known.read < context.timings.bucketCache {
            return known.keys
        }
        let row = accessKeysRow
        let state = try await withTables { () async throws(TableError) in
            try await context.tables.read(row)
        }
        let rows = try state.value.map { try ObjectGateway.open($0, at: row, keys).keys } ?? []
        let found = rows.map { AccessKey($0) }
        knownAccessKeys = (found, now)
        return found
    }

    private static func open(
        _ value: [UInt8], at row: RowKey, _ keys: AccountKeys
    ) throws(ObjectError) -> AccessKeysRow {
        do {
            return try Rows.open(AccessKeysRow.self, value, at: row, key: keys.rowKey)
        } catch { throw .dataLost("the account's access keys cannot be read: \(error)") }
    }

    private func changeAccessKeys(
        _ change: @escaping @Sendable (inout [AccessKeyRow]) throws -> Void
    ) async throws {
        let (row, keys, random) = (accessKeysRow, keys, context.environment.random)
        let result = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Result<Void, any Error>) in
                do {
                    var all =
                        try state.value.map { try ObjectGateway.open($0, at: row, keys) }
                        ?? AccessKeysRow()
                    try change(&all.keys)
                    let sealed = Rows.seal(
                        all, at: row, keys: (keys.rowKey, keys.signing), random: random)
                    return (.set(sealed), .success(()))
                } catch { return (.abandon, .failure(error)) }
            }
        }
        knownAccessKeys = nil
        try result.get()
    }
}

extension AccessKeyRow {
    fileprivate init(_ key: AccessKey) {
        let rights: AccessKeyRights =
            switch key.limits.rights {
            case .all: .all
            case .read: .read
            case .write: .write
            }
        self.init(
            name: key.name, id: key.id, secret: key.secret, bucket: key.limits.bucket ?? "",
            prefix: key.limits.prefix, rights: rights, createdMs: key.created.milliseconds,
            expiresMs: key.limits.expires?.milliseconds ?? 0)
    }
}

extension AccessKey {
    fileprivate init(_ row: AccessKeyRow) {
        var limits = AccessKeyLimits()
        limits.bucket = row.bucket.isEmpty ? nil : row.bucket
        limits.prefix = row.prefix
        // Rights of a later version of the program: the least that there are.
        limits.rights =
            switch row.rights {
            case .all: .all
            case .write: .write
            default: .read
            }
        limits.expires = row.expiresMs == 0 ? nil : WallTime(milliseconds: row.expiresMs)
        self.init(
            name: row.name, id: row.id, secret: row.secret, limits: limits,
            created: WallTime(milliseconds: row.createdMs))
    }
}
