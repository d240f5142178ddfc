package import CyxCore
package import CyxCrypto
internal import CyxTables

/// Bearer tokens of one account: what they are signed with, and which of them no longer count. Other
/// gateways learn of a revocation within `ObjectTimings.bucketCache`.
package protocol TokenService: Sendable {
    /// The same at every gateway of the account.
    nonisolated var tokenKey: SigningKey { get }

    /// Throws where nobody can tell now: then the token does not count either.
    func isRevoked(token id: [UInt8], issued: WallTime) async throws -> Bool

    /// `id`: 16 bytes. `expires`: when the token ends by itself, and need not be remembered.
    func revokeToken(_ id: [UInt8], expires: WallTime) async throws
}

extension ObjectGateway: TokenService {
    private static let tokensRegister = AccountRegister<RevokedTokensRow>(
        table: .revokedTokens, label: "cyx account revoked tokens v1",
        contents: "the revoked tokens")

    package func isRevoked(token id: [UInt8], issued: WallTime) async throws -> Bool {
        try await read(ObjectGateway.tokensRegister).hasRevoked(id, issued: issued)
    }

    package func revokeToken(_ id: [UInt8], expires: WallTime) async throws {
        let now = context.environment.wallTime()
        try await change(ObjectGateway.tokensRegister) { $0.revoke(id, expires: expires, now: now) }
    }
}

extension RevokedTokensRow {
    /// So many are remembered at a time: some 120 KiB, and they live for an hour at most.
    static let tokensMax = 4096

    func hasRevoked(_ id: [UInt8], issued: WallTime) -> Bool {
        issued.milliseconds < issuedFromMs || tokens.contains { $0.id == id }
    }

    /// Remembers the token. Where the list is full all tokens of the account end: whoever made so
    /// many gets new ones, and none that was revoked counts again.
    mutating func revoke(_ id: [UInt8], expires: WallTime, now: WallTime) {
        tokens.removeAll { $0.expiresMs <= now.milliseconds }
        guard !tokens.contains(where: { $0.id == id }), now < expires else { return }
        guard tokens.count < RevokedTokensRow.tokensMax else {
            tokens = []
            issuedFromMs = now.milliseconds
            return
        }
        tokens.append(RevokedTokenRow(id: id, expiresMs: expires.milliseconds))
    }
}
