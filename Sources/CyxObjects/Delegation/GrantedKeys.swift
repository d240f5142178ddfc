internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// An access key of an account whose seed is elsewhere, and what serves it.
package struct GrantedKey: Sendable {
    package var key: AccessKey
    package var service: any ObjectService

    package init(key: AccessKey, service: any ObjectService) {
        self.key = key
        self.service = service
    }
}

/// Access keys that accounts have made for this gateway.
package protocol GrantedKeyService: Sendable {
    /// The one that requests name so; nil: none that is for this gateway. Throws `.unavailable` where
    /// nobody can tell now.
    func grantedKey(id: String) async throws -> GrantedKey?
}

/// Serves access keys that accounts have sealed to this gateway (`decisions.md` E), each by an
/// `ObjectGateway` of its own that has the keys of one bucket and a certificate to sign with.
///
/// Such a gateway does no upkeep: what its writes leave behind is collected, re-coded and leased by the
/// gateways that have the account's seed, and one of them has to run now and then.
package actor GrantedKeys: GrantedKeyService {
    /// How IDs of such keys begin: other junk is no reason to ask the network.
    static let idPrefix = "CYG"
    /// Keys that are served without being opened anew; the one that was used longest ago goes first.
    static let capacity = 32
    /// Memory of each for decoded manifests and layouts, in bytes.
    static let cacheBytes = 4 << 20
    /// IDs that are remembered as nobody's, and for how long.
    static let unknownCapacity = 4096
    static let unknownAge = Duration.seconds(10)
    /// How fast IDs are looked up that are not served already: so much junk becomes network traffic.
    static let lookupPause = Duration.milliseconds(50)
    static let lookupBurst = 64

    private struct Served {
        var value: [UInt8]
        var grant: OpenedGrant
        var gateway: ObjectGateway
        /// When the row was last found to hold `value`.
        var read: Instant
        var used: Instant
        var isReading = false
    }

    private let context: ObjectContext
    private let key: GatewayKey
    private let runner = JobRunner()
    private var served: [String: Served] = [:]
    private var unknown = BoundedCache<String, Instant>(capacity: GrantedKeys.unknownCapacity)
    /// When the look-ups so far would be over, one each `lookupPause`.
    private var lookupsEnd: Instant

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext, key: GatewayKey) {
        self.context = context
        self.key = key
        lookupsEnd = context.environment.now()
    }

    /// Background work of the gateways, until the task is cancelled.
    package func run() async { await runner.run() }

    package func grantedKey(id: String) async throws -> GrantedKey? {
        guard GrantedKeys.isID(id) else { return nil }
        let now = context.environment.now()
        if let known = served[id] {
            served[id]?.used = now
            let age = now - known.read
            let limit = context.timings.bucketCache
            // While one request looks whether the key was revoked, the others go on for a moment.
            if age < limit || known.isReading && age < limit * 2 { return current(known) }
            served[id]?.isReading = true
        } else {
            if let seen = unknown[id], now - seen < GrantedKeys.unknownAge { return nil }
            guard takeLookup(now) else {
                throw ObjectError.unavailable("too many access keys that nobody here knows")
            }
        }
        let row = SealedGrants.row(accessKey: id)
        let value: [UInt8]?
        do {
            value = try await withTables { () async throws(TableError) in
                try await context.tables.read(row).value
            }
        } catch {
            served[id]?.isReading = false
            throw error
        }
        return try await take(value, of: id, at: row, asOf: now)
    }

    /// Serves what the row was found to hold at `read`; nil if that is nothing for this gateway.
    private func take(
        _ value: [UInt8]?, of id: String, at row: RowKey, asOf read: Instant
    ) async throws -> GrantedKey? {
        if let known = served[id], known.read > read { return current(known) }
        if let value, var known = served[id], known.value == value {
            (known.read, known.isReading) = (read, false)
            served[id] = known
            return current(known)
        }
        guard let value, let grant = open(value, of: id, at: row) else {
            unknown[id] = context.environment.now()
            if let former = served.removeValue(forKey: id) {
                forget(former)
                await dropIndex(of: former)
            }
            return nil
        }
        if let former = served.removeValue(forKey: id) { forget(former) }
        makeRoom()
        let gateway = ObjectGateway(
            context: context, grant: grant, runner: runner, cacheBytes: GrantedKeys.cacheBytes)
        let new = Served(value: value, grant: grant, gateway: gateway, read: read, used: read)
        served[id] = new
        unknown.remove(id)
        return current(new)
    }

    private func open(_ value: [UInt8], of id: String, at row: RowKey) -> OpenedGrant? {
        do {
            guard let (grant, accountKey) = try SealedGrants.open(value, at: row, with: key) else {
                return nil
            }
            let opened = OpenedGrant(grant, of: accountKey, id: id)
            return opened?.certificate.network == context.permits.network ? opened : nil
        } catch {
            context.logger.info("a grant for this gateway cannot be read", [("error", "\(error)")])
            return nil
        }
    }

    /// Nil when the certificate has ended: the account's own gateways were away for too long.
    private func current(_ known: Served) -> GrantedKey? {
        guard known.grant.certificate.holds(at: context.environment.wallTime()) else { return nil }
        return GrantedKey(key: known.grant.key, service: known.gateway)
    }

    private func makeRoom() {
        while served.count >= GrantedKeys.capacity,
            let oldest = served.min(by: { ($0.value.used, $0.key) < ($1.value.used, $1.key) })
        {
            served[oldest.key] = nil
            forget(oldest.value)
        }
    }

    /// What its gateway still does in the background fails then at custodians, and is left to the
    /// account's own gateways.
    private func forget(_ former: Served) {
        context.permits.remove(delegate: former.grant.certificate)
    }

    /// Names of objects do not stay on the disk of a gateway that no longer serves their bucket.
    private func dropIndex(of former: Served) async {
        let bucket = former.grant.certificate.bucket
        guard !served.values.contains(where: { $0.grant.certificate.bucket == bucket }) else {
            return
        }
        do { try await former.gateway.dropIndex(bucket) } catch {
            context.logger.info("a bucket's index stays", [("reason", "\(error)")])
        }
    }

    private func takeLookup(_ now: Instant) -> Bool {
        let start = max(lookupsEnd, now)
        guard start - now < GrantedKeys.lookupPause * GrantedKeys.lookupBurst else { return false }
        lookupsEnd = start + GrantedKeys.lookupPause
        return true
    }

    static func isID(_ id: String) -> Bool {
        let digits = id.utf8.dropFirst(idPrefix.utf8.count)
        return id.hasPrefix(idPrefix) && digits.count == 2 * ObjectGateway.idBytes
            && digits.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }
    }
}
