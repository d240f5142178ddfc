/// The 8 bytes by which a packet finds its connection. Its receiver chose them.
struct ConnectionID: Hashable, Sendable {
    static let byteCount = 8
    var value: UInt64

    init(_ value: UInt64) { self.value = value }
}
