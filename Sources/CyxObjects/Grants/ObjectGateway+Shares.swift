package import CyxCore
internal import CyxTables

/// All links of an account lie in one register, as its access keys do.
extension ObjectGateway: ShareService {
    private static let sharesRegister = AccountRegister<SharesRow>(
        table: .shares, label: "cyx account shares v1", contents: "the links")

    package func createShare(_ share: Share) async throws {
        let now = context.environment.wallTime()
        try await change(ObjectGateway.sharesRegister) { row in
            try row.add(ShareRow(share), now: now)
        }
    }

    package func shares() async throws -> [Share] {
        forget(ObjectGateway.sharesRegister)
        return try await read(ObjectGateway.sharesRegister).shares.compactMap { Share($0) }
            .sorted { ($1.created, $1.id) < ($0.created, $0.id) }
    }

    package func share(token: Digest) async throws -> Share? {
        let bytes = token.bytes
        return try await read(ObjectGateway.sharesRegister).shares.first { $0.token == bytes }
            .flatMap { Share($0) }
    }

    package func revokeShare(_ id: String) async throws {
        let now = context.environment.wallTime().milliseconds
        try await change(ObjectGateway.sharesRegister) { row in
            guard let index = row.shares.firstIndex(where: { $0.id == id && $0.revokedMs == 0 })
            else { throw ObjectError.noSuchShare }
            row.shares[index].revokedMs = now
        }
    }
}

extension SharesRow {
    /// Some 1.5 KiB each at most: all fit a row.
    static let sharesMax = 500
    /// For so long a link that has ended is told from one that never was.
    static let endedMilliseconds: Int64 = 30 * 86_400_000

    mutating func add(_ share: ShareRow, now: WallTime) throws(ObjectError) {
        let now = now.milliseconds
        shares.removeAll { $0.endMs.map { $0 + SharesRow.endedMilliseconds <= now } ?? false }
        if shares.count >= SharesRow.sharesMax {
            // Of those that have ended, the one that did so first goes.
            let ended = shares.indices.filter { shares[$0].endMs.map { $0 <= now } ?? false }
            guard
                let first = ended.min(by: {
                    (shares[$0].endMs ?? 0, $0) < (shares[$1].endMs ?? 0, $1)
                })
            else { throw .tooManyShares }
            shares.remove(at: first)
        }
        shares.append(share)
    }
}

extension ShareRow {
    /// Nil where it has no end.
    fileprivate var endMs: Int64? { [revokedMs, expiresMs].filter { $0 > 0 }.min() }

    init(_ share: Share) {
        self.init(
            id: share.id, token: share.token.bytes, bucket: share.bucket, path: share.path,
            isFolder: share.isFolder, isViewOnly: share.isViewOnly,
            createdMs: share.created.milliseconds, expiresMs: share.expires?.milliseconds ?? 0,
            salt: share.password?.salt ?? [], password: share.password?.hash ?? [],
            accessKey: share.accessKey ?? "", revokedMs: share.revoked?.milliseconds ?? 0)
    }
}

extension Share {
    /// Nil for what no version of the program wrote.
    init?(_ row: ShareRow) {
        guard let token = Digest(bytes: row.token) else { return nil }
        self.init(
            id: row.id, token: token, bucket: row.bucket, path: row.path,
            created: WallTime(milliseconds: row.createdMs))
        isFolder = row.isFolder
        isViewOnly = row.isViewOnly
        expires = row.expiresMs == 0 ? nil : WallTime(milliseconds: row.expiresMs)
        revoked = row.revokedMs == 0 ? nil : WallTime(milliseconds: row.revokedMs)
        accessKey = row.accessKey.isEmpty ? nil : row.accessKey
        if !row.password.isEmpty { password = Password(salt: row.salt, hash: row.password) }
    }
}
