internal import CyxCrypto

/// The SymmetricState and CipherState of Noise (§5.1, §5.2) for ChaChaPoly and SHA256.
struct SymmetricState {
    private(set) var hash: [UInt8]
    private var chainingKey: [UInt8]
    private var key: [UInt8]?
    private var nonce: UInt64 = 0

    init(protocolName: String) {
        let name = Array(protocolName.utf8)
        hash =
            name.count <= 32
            ? name + [UInt8](repeating: 0, count: 32 - name.count) : SHA256.hash(name)
        chainingKey = hash
    }

    mutating func mixHash(_ data: [UInt8]) {
        var hasher = SHA256()
        hasher.update(hash)
        hasher.update(data)
        hash = hasher.finalize()
    }

    mutating func mixKey(_ material: [UInt8]) {
        let outputs = Primitives.noiseHKDF(chainingKey, material, outputs: 2)
        chainingKey = outputs[0]
        key = outputs[1]
        nonce = 0
    }

    mutating func mixKeyAndHash(_ material: [UInt8]) {
        let outputs = Primitives.noiseHKDF(chainingKey, material, outputs: 3)
        chainingKey = outputs[0]
        mixHash(outputs[1])
        key = outputs[2]
        nonce = 0
    }

    /// §12.3: 4 zero bytes, then the nonce in little-endian order.
    private mutating func nextNonce() -> [UInt8] {
        defer { nonce += 1 }
        return [UInt8](unsafeUninitializedCapacity: 12) { bytes, count in
            let bytes = UnsafeMutableRawBufferPointer(bytes)
            bytes.storeBytes(of: 0, as: UInt32.self)
            bytes.storeBytes(of: nonce.littleEndian, toByteOffset: 4, as: UInt64.self)
            count = 12
        }
    }

    mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
        var output = plaintext
        if let key {
            output = ChaChaPoly.seal(plaintext, key: key, nonce: nextNonce(), aad: hash)
        }
        mixHash(output)
        return output
    }

    mutating func decryptAndHash(_ sealed: [UInt8]) throws(TransportError) -> [UInt8] {
        var plaintext = sealed
        if let key {
            do throws(AEADError) {
                plaintext = try ChaChaPoly.open(sealed, key: key, nonce: nextNonce(), aad: hash)
            } catch {
                throw .handshakeFailed
            }
        }
        mixHash(sealed)
        return plaintext
    }

    /// The secrets of the two directions, the initiator's first.
    func split() -> (initiator: [UInt8], responder: [UInt8]) {
        let outputs = Primitives.noiseHKDF(chainingKey, [], outputs: 2)
        return (outputs[0], outputs[1])
    }
}
