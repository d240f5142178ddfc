/// First messages that were answered lately, by their ephemeral keys. A copy of one may come from
/// anywhere and passes every check, as its author knew the network key; so a second one gets a
/// retry packet instead of state, which tells its sender apart from a copyist with a false
/// address. Refusing it would let who copies faster than the network lock the author out.
struct InitialReplays: Sendable {
    /// Keys remembered in each of two generations. When there are more, the older are forgotten
    /// early; pending handshakes stay bounded all the same.
    static let keysMax = 1 << 14
    /// Nanoseconds after which a first message fails the check of its time: the clocks of both
    /// ends may be off by the tolerance in either direction.
    static let span = 2 * Int64(HandshakeContext.clockTolerance) * 1_000_000

    private var current: Set<UInt64> = []
    private var previous: Set<UInt64> = []
    private var since: Int64?

    var count: Int { current.count + previous.count }

    /// The start of a Curve25519 key is random enough to tell honest ones apart.
    private static func key(_ message: [UInt8]) -> UInt64 {
        message.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    func contains(_ message: [UInt8]) -> Bool {
        let key = InitialReplays.key(message)
        return current.contains(key) || previous.contains(key)
    }

    mutating func insert(_ message: [UInt8], now: Int64) {
        let start = since ?? now
        if since == nil || now - start >= InitialReplays.span
            || current.count >= InitialReplays.keysMax
        {
            previous = now - start < 2 * InitialReplays.span ? current : []
            current = []
            since = now
        }
        current.insert(InitialReplays.key(message))
    }
}
