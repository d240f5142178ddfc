internal import CSodium
internal import CyxKernels

/// Ed25519 on processors whose vectors multiply 52-bit integers: the group's arithmetic is ours, in
/// half of libsodium's time, and hashes and scalars are libsodium's. What is signed, accepted and
/// refused is the same.
enum EdwardsVectors {
    /// Whether this processor has them; their tables are made when somebody first asks.
    static let areAvailable: Bool = {
        guard cyx_x25519_best() == CYX_X25519_IFMA else { return false }
        Sodium.prepare()
        cyx_ed25519_prepare()
        return true
    }()

    /// The group's order, little end first (RFC 8032 §5.1).
    private static let order: [UInt8] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ]
    /// 2^255 - 19.
    private static let prime: [UInt8] = [0xED] + [UInt8](repeating: 0xFF, count: 30) + [0x7F]
    /// The y coordinates of the points of order 1, 2, 4 and 8.
    private static let smallOrder: [[UInt8]] = [
        [UInt8](repeating: 0, count: 32),
        [1] + [UInt8](repeating: 0, count: 31),
        [0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF,
            0x98, 0xF0, 0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88,
            0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10,
            0x67, 0x0F, 0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77,
            0x92, 0xAC, 0x03, 0x7A,
        ],
    ]

    /// Secret scalar and prefix of a seed (RFC 8032 §5.1.5).
    static func expand(seed: [UInt8]) -> (scalar: [UInt8], prefix: [UInt8]) {
        var hash = sha512(seed)
        defer { sodium_memzero(&hash, hash.count) }
        hash[0] &= 0xF8
        hash[31] = hash[31] & 0x7F | 0x40
        return (Array(hash[..<32]), Array(hash[32...]))
    }

    /// RFC 8032 §5.1.6.
    static func sign(
        _ message: [UInt8], scalar: [UInt8], prefix: [UInt8], key: [UInt8]
    ) -> [UInt8] {
        var nonce = reduced(sha512(prefix, message))
        var product = [UInt8](repeating: 0, count: 32)
        defer {
            sodium_memzero(&nonce, nonce.count)
            sodium_memzero(&product, product.count)
        }
        var point = [UInt8](repeating: 0, count: 32)
        cyx_ed25519_base(&point, nonce)
        let challenge = reduced(sha512(point, key, message))
        crypto_core_ed25519_scalar_mul(&product, challenge, scalar)
        var sum = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_add(&sum, product, nonce)
        return point + sum
    }

    /// RFC 8032 §5.1.7, strictly: as libsodium, without the cofactor, and refusing points of small
    /// order, numbers that are not reduced, and keys of which the encoding is not the shortest.
    static func isValid(_ signature: [UInt8], for message: [UInt8], key: [UInt8]) -> Bool {
        let point = Array(signature[..<32])
        let scalar = Array(signature[32...])
        guard isBelow(scalar, order), isBelow(withoutSign(key), prime),
            !hasSmallOrder(key), !hasSmallOrder(point)
        else { return false }
        let challenge = reduced(sha512(point, key, message))
        return cyx_ed25519_is_sum(point, scalar, challenge, key) == 1
    }

    private static func withoutSign(_ point: [UInt8]) -> [UInt8] {
        var y = point
        y[31] &= 0x7F
        return y
    }

    private static func hasSmallOrder(_ point: [UInt8]) -> Bool {
        smallOrder.contains(withoutSign(point))
    }

    /// Whether one number is less than another, little end first; both are public.
    private static func isBelow(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        for index in left.indices.reversed() where left[index] != right[index] {
            return left[index] < right[index]
        }
        return false
    }

    private static func sha512(_ parts: [UInt8]...) -> [UInt8] {
        var state = crypto_hash_sha512_state()
        crypto_hash_sha512_init(&state)
        for part in parts { crypto_hash_sha512_update(&state, part, UInt64(part.count)) }
        var hash = [UInt8](repeating: 0, count: 64)
        crypto_hash_sha512_final(&state, &hash)
        sodium_memzero(&state, MemoryLayout.size(ofValue: state))
        return hash
    }

    private static func reduced(_ hash: [UInt8]) -> [UInt8] {
        var scalar = [UInt8](repeating: 0, count: 32)
        crypto_core_ed25519_scalar_reduce(&scalar, hash)
        return scalar
    }
}
