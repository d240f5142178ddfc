/// HMAC-SHA256 (RFC 2104), fed piece by piece; a copy forks it.
package struct HMACSHA256: Sendable {
    package static let codeSize = SHA256.digestSize
    private static let blockSize = 64

    private var inner = SHA256()
    private var outer = SHA256()

    package init(key: [UInt8]) {
        let key = key.count > HMACSHA256.blockSize ? SHA256.hash(key) : key
        // Handshakes make dozens of these: nothing here allocates.
        withUnsafeTemporaryAllocation(byteCount: HMACSHA256.blockSize, alignment: 8) { block in
            for index in 0..<HMACSHA256.blockSize {
                block[index] = (index < key.count ? key[index] : 0) ^ 0x36
            }
            inner.update(UnsafeRawBufferPointer(block))
            for index in 0..<HMACSHA256.blockSize { block[index] ^= 0x36 ^ 0x5c }
            outer.update(UnsafeRawBufferPointer(block))
            block.initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    package mutating func update(_ bytes: [UInt8]) { inner.update(bytes) }
    package mutating func update(_ bytes: UnsafeRawBufferPointer) { inner.update(bytes) }

    /// The 32-byte code of what was fed so far.
    package func finalize() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: HMACSHA256.codeSize) { code, count in
            finalize(into: UnsafeMutableRawBufferPointer(code))
            count = HMACSHA256.codeSize
        }
    }

    /// The same, written to the first 32 bytes of `code`.
    package func finalize(into code: UnsafeMutableRawBufferPointer) {
        var result = outer
        inner.finalize(into: code)
        result.update(UnsafeRawBufferPointer(rebasing: code[..<HMACSHA256.codeSize]))
        result.finalize(into: code)
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
