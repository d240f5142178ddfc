package import CyxCore

/// A key of an account that may do part of what the account may.
package struct AccessKey: Hashable, Sendable {
    package enum Rights: Hashable, Sendable { case all, read, write }

    /// What the account calls it.
    package var name: String
    /// What requests name it by.
    package var id: String
    package var secret: String
    package var limits: AccessKeyLimits
    package var created: WallTime

    package init(
        name: String, id: String, secret: String, limits: AccessKeyLimits, created: WallTime
    ) {
        self.name = name
        self.id = id
        self.secret = secret
        self.limits = limits
        self.created = created
    }
}

/// What of its account a key reaches, and how long.
package struct AccessKeyLimits: Hashable, Sendable {
    /// Nil: every bucket.
    package var bucket: String?
    /// How names of objects begin that it reaches; empty: any.
    package var prefix = ""
    package var rights = AccessKey.Rights.all
    /// Nil: until it is revoked.
    package var expires: WallTime?
    /// Gateways that serve it without the account's seed, by their `GatewayKey`; with any, there is a
    /// `bucket`.
    package var gateways: [[UInt8]] = []
    package init() {}
}

/// Keys of one account, beside the one that all gateways of the account were given. Other gateways
/// learn of changes within `ObjectTimings.bucketCache`.
package protocol AccessKeyService: Sendable {
    /// `.keyExists` where the account has one of that name, `.tooManyKeys` where it has too many,
    /// `.badGatewayKey` where one of the gateways is none.
    func createAccessKey(_ name: String, _ limits: AccessKeyLimits) async throws -> AccessKey
    /// By name.
    func accessKeys() async throws -> [AccessKey]
    /// The one that requests name so; nil: none of this account's.
    func accessKey(id: String) async throws -> AccessKey?
    /// `.noSuchAccessKey` where there is none of that name.
    func revokeAccessKey(_ name: String) async throws
}
