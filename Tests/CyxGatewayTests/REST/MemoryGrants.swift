import CyxCore
import CyxCrypto
import CyxObjects
import Synchronization

/// Keys, tokens and links of one account in memory, for the gateway's tests.
final class MemoryGrants: AccessKeyService, TokenService, ShareService {
    let tokenKey: SigningKey
    private let time: @Sendable () -> WallTime
    private let keys = Mutex<[AccessKey]>([])
    private let revoked = Mutex<Set<[UInt8]>>([])
    private let links = Mutex<[Share]>([])

    init(seed: UInt8, time: @escaping @Sendable () -> WallTime) {
        tokenKey = SigningKey(seed: [UInt8](repeating: seed, count: SigningKey.seedSize))
        self.time = time
    }

    func createAccessKey(_ name: String, _ limits: AccessKeyLimits) async throws -> AccessKey {
        try keys.withLock { keys in
            guard !keys.contains(where: { $0.name == name }) else { throw ObjectError.keyExists }
            let key = AccessKey(
                name: name, id: "CYK\(time().milliseconds)\(keys.count)", secret: "secret-\(name)",
                limits: limits, created: time())
            keys.append(key)
            return key
        }
    }

    func accessKeys() async throws -> [AccessKey] {
        keys.withLock { $0.sorted { $0.name < $1.name } }
    }

    func accessKey(id: String) async throws -> AccessKey? {
        keys.withLock { $0.first { $0.id == id } }
    }

    func revokeAccessKey(_ name: String) async throws {
        try keys.withLock { keys in
            guard let index = keys.firstIndex(where: { $0.name == name }) else {
                throw ObjectError.noSuchAccessKey
            }
            keys.remove(at: index)
        }
    }

    func isRevoked(token id: [UInt8], issued: WallTime) async throws -> Bool {
        revoked.withLock { $0.contains(id) }
    }

    func revokeToken(_ id: [UInt8], expires: WallTime) async throws {
        _ = revoked.withLock { $0.insert(id) }
    }

    func createShare(_ share: Share) async throws { links.withLock { $0.append(share) } }

    func shares() async throws -> [Share] { links.withLock { $0.reversed() } }

    func share(token: Digest) async throws -> Share? {
        links.withLock { $0.first { $0.token == token } }
    }

    func revokeShare(_ id: String) async throws {
        try links.withLock { links in
            guard let index = links.firstIndex(where: { $0.id == id && $0.revoked == nil }) else {
                throw ObjectError.noSuchShare
            }
            links[index].revoked = time()
        }
    }
}
