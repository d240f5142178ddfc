internal import CyxCore
internal import CyxCrypto
internal import CyxObjects
internal import Synchronization

/// Makes and checks passwords of links, few at a time and seldom for one link, so that a flood of
/// guesses eats neither memory nor all the time there is, and gets nowhere.
final class PasswordGate: Sendable {
    /// Each takes `PasswordHash.memoryBytes`.
    static let concurrent = 2
    /// Of one link. Whoever has the right one takes nothing; who is kept waiting by somebody else's
    /// guesses needs it but once an hour.
    static let guessRate = RateLimiter<String>.Rate(burst: 10, perSecond: 1.0 / 6)
    static let links = 4096
    static let passwordBytes = 1...1024

    private let running = Mutex<Int>(0)
    private let guesses = Mutex(
        RateLimiter<String>(PasswordGate.guessRate, capacity: PasswordGate.links))

    /// What to keep of a new password.
    @inline(never)
    func make(
        _ password: String, _ environment: Environment
    ) async throws -> Share.Password {
        let salt = environment.random.bytes(PasswordHash.saltBytes)
        return Share.Password(salt: salt, hash: try await hash(password, salt, environment))
    }

    /// Whether `password` is that of the link `id`.
    @inline(never)
    func isRight(
        _ password: String, for kept: Share.Password, of id: String, _ environment: Environment
    ) async throws -> Bool {
        if let wait = guesses.withLock({ $0.take(id, environment.now()) }) {
            throw RESTError.slowDown(wait)
        }
        var counts = false
        // Only a guess that was looked at, and was none, counts.
        defer { if !counts { guesses.withLock { $0.giveBack(id, environment.now()) } } }
        let isRight = isEqualInConstantTime(
            try await hash(password, kept.salt, environment), kept.hash)
        counts = !isRight
        return isRight
    }

    @inline(never)
    private func hash(
        _ password: String, _ salt: [UInt8], _ environment: Environment
    ) async throws -> [UInt8] {
        let bytes = Array(password.utf8)
        guard PasswordGate.passwordBytes.contains(bytes.count) else {
            throw RESTError.invalid("A password has 1 to 1024 bytes")
        }
        let hasBegun = running.withLock { running in
            guard running < PasswordGate.concurrent else { return false }
            running += 1
            return true
        }
        guard hasBegun else { throw RESTError.slowDown(.seconds(1)) }
        defer { running.withLock { $0 -= 1 } }
        let hash = await environment.blocking.run { PasswordHash.hash(bytes, salt: salt) }
        guard let hash else {
            throw RESTError(
                "ServiceUnavailable", 503, "There is no memory to check a password with",
                advice: "try again in a while")
        }
        return hash
    }
}
