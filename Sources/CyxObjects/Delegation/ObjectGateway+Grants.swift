internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// What an account's own gateways do for access keys that others serve without its seed.
extension ObjectGateway {
    /// What the row of an access key for named gateways holds. Notes the delegate's key, and when its
    /// certificate ends, in what the account keeps of the access key.
    func seal(_ row: inout AccessKeyRow) async throws -> [UInt8] {
        let handle = try await handle(row.bucket)
        let (random, now) = (context.environment.random, context.environment.wallTime())
        if row.delegate.isEmpty { row.delegate = random.bytes(SigningKey.seedSize) }
        let operations: DelegateCertificate.Operations =
            switch AccessKey(row).limits.rights {
            case .all: [.read, .write]
            case .read: .read
            case .write: .write
            }
        let certificate = DelegateCertificate.signed(
            for: SigningKey(seed: row.delegate).verifyingKey, network: context.permits.network,
            bucket: handle.keys.bucket, operations: operations,
            serial: random.bytes(DelegateCertificate.serialBytes), now: now, by: keys.signing)
        row.certifiedUntilMs = certificate.notAfter.milliseconds
        var told = row
        (told.gateways, told.delegate, told.certifiedUntilMs) = ([], [], 0)
        let grant = GatewayGrant(
            key: told, bucket: handle.keys.bucket.bytes, nameKey: handle.keys.name.bytes,
            dedupKey: handle.keys.dedup.bytes, rowKey: handle.keys.row.bytes,
            delegate: row.delegate, certificate: certificate.bytes)
        do {
            return try SealedGrants.seal(
                grant, for: row.gateways, at: SealedGrants.row(accessKey: row.id),
                with: keys.signer, random: random)
        } catch { throw ObjectError.badGatewayKey }
    }

    func createGrant(_ sealed: [UInt8], of key: AccessKey) async throws(ObjectError) {
        let row = SealedGrants.row(accessKey: key.id)
        let isNew = try await withTables { () async throws(TableError) in
            try await context.tables.update(row) { state -> (_, Bool) in
                state.value == nil ? (.set(sealed), true) : (.abandon, false)
            }
        }
        guard isNew else { throw .keyExists }
    }

    func removeGrant(of key: AccessKey) async throws(ObjectError) {
        let row = SealedGrants.row(accessKey: key.id)
        try await withTables { () async throws(TableError) in
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .delete
            }
        }
    }

    /// Makes new certificates well before the old ones end, and for buckets that were made anew.
    func renewGrants() async throws {
        forget(ObjectGateway.keysRegister)
        let now = context.environment.wallTime().milliseconds
        for var row in try await read(ObjectGateway.keysRegister).keys
        where !row.gateways.isEmpty && (row.expiresMs == 0 || row.expiresMs > now) {
            let issued = row.certifiedUntilMs - DelegateCertificate.lifetimeMs
            do {
                let created = try await handle(row.bucket).created.milliseconds
                guard now - issued > GrantKeeper.renewalMs || created > issued else { continue }
                try await renew(&row)
            } catch ObjectError.noSuchBucket {
                // The key opens nothing until there is one of that name.
            }
        }
    }

    private func renew(_ renewed: inout AccessKeyRow) async throws {
        let sealed = try await seal(&renewed)
        let row = SealedGrants.row(accessKey: renewed.id)
        try await withTables { () async throws(TableError) in
            // A row that is gone was revoked meanwhile.
            _ = try await context.tables.update(row) { state in
                state.value == nil ? .abandon : .set(sealed)
            }
        }
        let (id, until) = (renewed.id, renewed.certifiedUntilMs)
        try await changeAccessKeys { keys in
            for index in keys.indices where keys[index].id == id {
                keys[index].certifiedUntilMs = until
            }
        }
        context.logger.info("renewed an access key for named gateways", [("key", id)])
    }
}

/// Keeps the certificates of an account's delegates from ending while one of its gateways runs.
struct GrantKeeper: Sendable {
    /// How old a certificate becomes: what is left of its time is how long the account's own gateways
    /// may all be away.
    static let renewalMs = DelegateCertificate.lifetimeMs / 3
    /// Pause between two looks.
    static let pause = Duration.seconds(3600)

    unowned let gateway: ObjectGateway
    let environment: Environment

    func run() async throws {
        while true {
            try await environment.sleep(for: GrantKeeper.pause)
            do {
                try await gateway.renewGrants()
            } catch {
                environment.logger.labelled("objects").warning(
                    "access keys for named gateways were not renewed", [("error", "\(error)")])
            }
        }
    }
}
