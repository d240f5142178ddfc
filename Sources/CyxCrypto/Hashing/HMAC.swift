/// HMAC-SHA256 (RFC 2104), fed piece by piece; a copy forks it.
package struct HMACSHA256: Sendable {
    package static let codeSize = SHA256.digestSize
    private static let blockSize = 64

    private var inner = SHA256()
    private var outer = SHA256()

    package init(key: [UInt8]) {
        var block = key.count > HMACSHA256.blockSize ? SHA256.hash(key) : key
        block += [UInt8](repeating: 0, count: HMACSHA256.blockSize - block.count)
        inner.update(block.map { $0 ^ 0x36 })
        outer.update(block.map { $0 ^ 0x5c })
    }

    package mutating func update(_ bytes: [UInt8]) { inner.update(bytes) }
    package mutating func update(_ bytes: UnsafeRawBufferPointer) { inner.update(bytes) }

    /// The 32-byte code of what was fed so far.
    package func finalize() -> [UInt8] {
        var result = outer
        result.update(inner.finalize())
        return result.finalize()
    }

    /// The 32-byte code of `message`.
    package static func code(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var code = HMACSHA256(key: key)
        code.update(message)
        return code.finalize()
    }
}

/// Comparison whose time depends on lengths alone, for anything that an attacker may guess at.
package func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
}
