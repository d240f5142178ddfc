internal import CyxCrypto

/// The hash, key derivation and key agreement of the handshake, in Noise's terms.
enum Primitives {
    static func hkdf(secret: [UInt8], salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        HKDF.expand(
            key: HKDF.extract(salt: salt, material: secret), info: info, count: count)
    }

    /// HKDF of Noise §4.3: `outputs` values of 32 bytes.
    static func noiseHKDF(_ key: [UInt8], _ material: [UInt8], outputs: Int) -> [[UInt8]] {
        let all = hkdf(secret: material, salt: key, info: [], count: 32 * outputs)
        return (0..<outputs).map { Array(all[$0 * 32..<$0 * 32 + 32]) }
    }
}
