internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// All keys of an account lie in one register: they are few, change seldom, and are wanted together.
extension ObjectGateway: AccessKeyService {
    /// Some 1.3 KiB each at most: all fit a row.
    static let accessKeysMax = 500
    static let idBytes = 8
    private static let secretBytes = 20

    static let keysRegister = AccountRegister<AccessKeysRow>(
        table: .accessKeys, label: "cyx account access keys v1", contents: "the access keys")

    package func createAccessKey(
        _ name: String, _ limits: AccessKeyLimits
    ) async throws -> AccessKey {
        let random = context.environment.random
        let prefix = limits.gateways.isEmpty ? "CYK" : GrantedKeys.idPrefix
        let key = AccessKey(
            name: name, id: prefix + Hex.encode(random.bytes(ObjectGateway.idBytes)).uppercased(),
            secret: Hex.encode(random.bytes(ObjectGateway.secretBytes)), limits: limits,
            created: context.environment.wallTime())
        var row = AccessKeyRow(key)
        let sealed = limits.gateways.isEmpty ? nil : try await seal(&row)
        try await changeAccessKeys { [row] keys in
            guard !keys.contains(where: { $0.name == name }) else { throw ObjectError.keyExists }
            guard keys.count < ObjectGateway.accessKeysMax else { throw ObjectError.tooManyKeys }
            keys.append(row)
        }
        guard let sealed else { return key }
        do {
            try await createGrant(sealed, of: key)
        } catch {
            // Nobody is told of the key: it must not stay. Its row may be there all the same.
            do { try await removeGrant(of: key) } catch {
                context.logger.info("an access key's row stays", [("error", "\(error)")])
            }
            try await changeAccessKeys { keys in keys.removeAll { $0.id == key.id } }
            throw error
        }
        return key
    }

    package func revokeAccessKey(_ name: String) async throws {
        forget(ObjectGateway.keysRegister)
        // First where gateways without the account's seed find it: while that fails, it stays listed.
        for key in try await readAccessKeys() where key.name == name && !key.limits.gateways.isEmpty
        {
            try await removeGrant(of: key)
        }
        try await changeAccessKeys { keys in
            guard keys.contains(where: { $0.name == name }) else {
                throw ObjectError.noSuchAccessKey
            }
            keys.removeAll { $0.name == name }
        }
    }

    package func accessKeys() async throws -> [AccessKey] {
        forget(ObjectGateway.keysRegister)
        return try await readAccessKeys().sorted { $0.name < $1.name }
    }

    package func accessKey(id: String) async throws -> AccessKey? {
        try await readAccessKeys().first { $0.id == id }
    }

    private func readAccessKeys() async throws -> [AccessKey] {
        try await read(ObjectGateway.keysRegister).keys.map { AccessKey($0) }
    }

    func changeAccessKeys(
        _ change: @escaping @Sendable (inout [AccessKeyRow]) throws -> Void
    ) async throws {
        try await self.change(ObjectGateway.keysRegister) { row in try change(&row.keys) }
    }
}

extension AccessKeyRow {
    init(_ key: AccessKey) {
        let rights: AccessKeyRights =
            switch key.limits.rights {
            case .all: .all
            case .read: .read
            case .write: .write
            }
        self.init(
            name: key.name, id: key.id, secret: key.secret, bucket: key.limits.bucket ?? "",
            prefix: key.limits.prefix, rights: rights, createdMs: key.created.milliseconds,
            expiresMs: key.limits.expires?.milliseconds ?? 0, gateways: key.limits.gateways)
    }
}

extension AccessKey {
    init(_ row: AccessKeyRow) {
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
        limits.gateways = row.gateways
        self.init(
            name: row.name, id: row.id, secret: row.secret, limits: limits,
            created: WallTime(milliseconds: row.createdMs))
    }
}
