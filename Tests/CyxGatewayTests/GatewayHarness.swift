import CyxCore
import CyxHTTP
import CyxObjects
import Testing

@testable import CyxGateway

/// A data directory that is never opened.
final class NoStorage: StorageDevice {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        throw .closed
    }
    func freeBytes() -> Int64 { 0 }
}

final class DiscardedLog: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

/// A gateway with the accounts `demo` and `other` over memory, served on a loopback port while
/// `body` runs.
struct GatewayHarness {
    static let accessKey = "demo"
    static let secretKey = "demo-secret"
    static let otherKey = "other"
    static let otherSecret = "other-secret"

    var environment: Environment
    var gateway: S3Gateway
    var objects: MemoryObjects
    var others: MemoryObjects
    var port: UInt16

    static func run(
        port: UInt16 = 0, sink: any LogSink = DiscardedLog(),
        settings: S3Gateway.Settings = S3Gateway.Settings(),
        granted: (any GrantedKeyService)? = nil,
        _ body: @Sendable (GatewayHarness) async throws -> Void
    ) async throws {
        let reactor = try Reactor()
        try reactor.start()
        let pool = try ThreadPool(threadCount: 2)
        defer {
            reactor.stop()
            reactor.join()
            pool.stop()
        }
        let environment = Environment.production(
            reactor: reactor, storage: NoStorage(), blocking: pool, sink: sink,
            metrics: MetricsRegistry())
        let objects = MemoryObjects { reactor.wallTime() }
        let others = MemoryObjects(account: AccountID(Digest(8, 8, 8, 8)), names: objects.names) {
            reactor.wallTime()
        }
        var accounts = S3Accounts()
        accounts[accessKey] = account("demo", secretKey, objects, seed: 1, reactor)
        accounts[otherKey] = account("other", otherSecret, others, seed: 2, reactor)
        accounts.granted = granted
        let hub = EventHub(environment: environment) { .object([("peer", .string("p"))]) }
        let events = EventSettings(
            hub: hub, operatorAccount: objects.account.hex, origins: [])
        let gateway = GatewayRouter(
            environment: environment, accounts: accounts, settings: settings, events: events)
        let server = try HTTPServer(
            environment: environment, reactor: reactor,
            listen: SocketAddress(ipv4: (127, 0, 0, 1), port: port),
            incompleteBody: gateway.incompleteBody, refused: gateway.refused
        ) { request, body in try await gateway.handle(request, body) }
        let harness = GatewayHarness(
            environment: environment, gateway: gateway.s3, objects: objects, others: others,
            port: server.localAddress.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: reactor) { try await server.run() }
            group.addTask(executorPreference: reactor) { try await hub.run() }
            do {
                try await body(harness)
            } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    /// A bearer token of an account, which ends after `seconds`.
    func token(
        of service: MemoryObjects, limits: AccessKeyLimits? = nil, seconds: Int64 = 3600
    ) throws -> String {
        let account = try #require(gateway.accounts.account(id: service.account.hex))
        let key = try #require(account.tokens?.tokenKey)
        let now = environment.wallTime().milliseconds / 1000
        let token = SessionToken(
            account: account.id, subject: "s", limits: limits, id: environment.random.bytes(16),
            issued: WallTime(milliseconds: now * 1000),
            expires: WallTime(milliseconds: (now + seconds) * 1000))
        return token.signed(with: key)
    }

    private static func account(
        _ name: String, _ secret: String, _ service: MemoryObjects, seed: UInt8, _ reactor: Reactor
    ) -> S3Accounts.Account {
        let grants = MemoryGrants(seed: seed) { reactor.wallTime() }
        var account = S3Accounts.Account(name: name, secret: secret, service: service)
        account.keys = grants
        account.tokens = grants
        account.shares = grants
        return account
    }
}
