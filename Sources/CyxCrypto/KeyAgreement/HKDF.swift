/// HKDF with SHA-256 (RFC 5869), and the labelled expansion of TLS 1.3 and QUIC.
package enum HKDF {
    /// What RFC 5869 §2.3 allows: 255 blocks.
    package static let maximumOutput = 255 * SHA256.digestSize

    /// A pseudorandom key of 32 bytes from `material`; an empty salt stands for 32 zeros.
    package static func extract(salt: [UInt8], material: [UInt8]) -> [UInt8] {
        HMACSHA256.code(key: salt, material)
    }

    /// `count` bytes of key material, at most `maximumOutput`.
    package static func expand(key: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        precondition((0...maximumOutput).contains(count), "HKDF gives at most 8160 bytes")
        let keyed = HMACSHA256(key: key)
        let size = SHA256.digestSize
        let blocks = (count + size - 1) / size
        // Each block lies behind the one that it follows from.
        return [UInt8](unsafeUninitializedCapacity: blocks * size) { output, initialized in
            let bytes = UnsafeMutableRawBufferPointer(output)
            for block in 0..<blocks {
                var code = keyed
                if block > 0 {
                    code.update(
                        UnsafeRawBufferPointer(rebasing: bytes[(block - 1) * size..<block * size]))
                }
                code.update(info)
                withUnsafeBytes(of: UInt8(block + 1)) { code.update($0) }
                code.finalize(
                    into: UnsafeMutableRawBufferPointer(rebasing: bytes[(block * size)...]))
            }
            initialized = count
        }
    }

    /// HKDF-Expand-Label of RFC 8446 §7.1 with `prefix` in the place of "tls13 ".
    package static func expandLabel(
        key: [UInt8], prefix: String, label: String, context: [UInt8] = [], count: Int
    ) -> [UInt8] {
        let nameCount = prefix.utf8.count + label.utf8.count
        precondition(nameCount <= 255 && context.count <= 255, "label and context have 255 bytes")
        var info: [UInt8] = []
        info.reserveCapacity(4 + nameCount + context.count)
        info.append(UInt8(truncatingIfNeeded: count >> 8))
        info.append(UInt8(truncatingIfNeeded: count))
        info.append(UInt8(nameCount))
        info.append(contentsOf: prefix.utf8)
        info.append(contentsOf: label.utf8)
        info.append(UInt8(context.count))
        info.append(contentsOf: context)
        return expand(key: key, info: info, count: count)
    }
}
