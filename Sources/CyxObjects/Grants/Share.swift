package import CyxCore

/// A link that lets whoever has it read an object, or what is in a folder.
package struct Share: Hashable, Sendable {
    /// What is kept of a password: Argon2id of it under `salt`.
    package struct Password: Hashable, Sendable {
        package var salt: [UInt8]
        package var hash: [UInt8]

        package init(salt: [UInt8], hash: [UInt8]) {
            self.salt = salt
            self.hash = hash
        }
    }

    /// What its owner calls it.
    package var id: String
    /// BLAKE3 of the link's token, which nobody keeps.
    package var token: Digest
    package var bucket: String
    /// The object's key; or how the names begin of what is in the folder.
    package var path: String
    package var isFolder = false
    /// Objects are only shown, as far as browsers can.
    package var isViewOnly = false
    package var created: WallTime
    /// Nil: until it is revoked.
    package var expires: WallTime?
    package var password: Password?
    /// The limited access key that made it, without which it does not count; nil: the account's own.
    package var accessKey: String?
    package var revoked: WallTime?

    package init(id: String, token: Digest, bucket: String, path: String, created: WallTime) {
        self.id = id
        self.token = token
        self.bucket = bucket
        self.path = path
        self.created = created
    }

    /// When it ended or will end; nil: when it is revoked.
    package var end: WallTime? {
        guard let revoked, let expires else { return revoked ?? expires }
        return min(revoked, expires)
    }

    package func hasEnded(by now: WallTime) -> Bool { end.map { $0 <= now } ?? false }
}

/// Links of one account. Other gateways learn of changes within `ObjectTimings.bucketCache`.
package protocol ShareService: Sendable {
    /// `.tooManyShares` where the account has too many that have not ended.
    func createShare(_ share: Share) async throws
    /// The newest first; for a while also those that have ended.
    func shares() async throws -> [Share]
    /// The one whose link has a token of that hash; nil: none of this account's.
    func share(token: Digest) async throws -> Share?
    /// `.noSuchShare` where there is none of that ID, or it was revoked already.
    func revokeShare(_ id: String) async throws
}
