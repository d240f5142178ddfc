package import CyxCore
internal import CyxKernels

/// BLAKE3: plain, keyed, key derivation, output of any length (specification 20211102).
package enum BLAKE3 {
    /// Bytes of a chunk, the leaf of the hash tree.
    package static let chunkSize = 1024

    /// The widest instruction set of this machine that the kernel knows.
    package static let level = cyx_blake3_best_level()

    package static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        digest(bytes, key: nil, mode: 0)
    }

    package static func hash(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    package static func hash(_ bytes: ArraySlice<UInt8>) -> Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    /// The hash of `parts` one after the other, without joining them in memory.
    package static func hash(_ parts: [[UInt8]]) -> Digest {
        var hasher = Hasher()
        for part in parts { hasher.update(part) }
        return hasher.finalize()
    }

    /// The message authentication code of `bytes` under `key`.
    package static func keyedHash(key: Digest, _ bytes: UnsafeRawBufferPointer) -> Digest {
        digest(bytes, key: key, mode: CYX_BLAKE3_KEYED_HASH)
    }

    package static func keyedHash(key: Digest, _ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { keyedHash(key: key, $0) }
    }

    /// Derives `count` bytes of key material; `context` is a constant of the program that names the
    /// use, never data.
    package static func deriveKey(context: String, _ material: [UInt8], count: Int) -> [UInt8] {
        var hasher = Hasher(derivingKeyFor: context)
        hasher.update(material)
        return hasher.finalize(count: count)
    }

    /// Derives one 32-byte key.
    package static func deriveKey(context: String, _ material: [UInt8]) -> Digest {
        var hasher = Hasher(derivingKeyFor: context)
        hasher.update(material)
        return hasher.finalize()
    }

    private static func digest(
        _ bytes: UnsafeRawBufferPointer, key: Digest?, mode: Int
    ) -> Digest {
        Digest.filled { output in
            withOptionalBytes(of: key) { key in
                cyx_blake3_hash(
                    level, key, Int32(mode), bytes.baseAddress, bytes.count, output.baseAddress,
                    output.count)
            }
        }
    }
}

extension BLAKE3 {
    /// A hash in progress; a copy forks it.
    package struct Hasher: Sendable {
        private var state = cyx_blake3()

        package init() {
            self.init(level: BLAKE3.level)
        }

        package init(key: Digest) {
            self.init(level: BLAKE3.level, key: key)
        }

        package init(derivingKeyFor context: String) {
            self.init(level: BLAKE3.level, derivingKeyFor: context)
        }

        /// Runs the kernel at `level` rather than at the machine's best, for tests.
        package init(level: Int32, key: Digest? = nil) {
            withOptionalBytes(of: key) {
                cyx_blake3_init(
                    &state, level, $0, key == nil ? 0 : Int32(CYX_BLAKE3_KEYED_HASH))
            }
        }

        package init(level: Int32, derivingKeyFor context: String) {
            cyx_blake3_init(&state, level, nil, Int32(CYX_BLAKE3_DERIVE_KEY_CONTEXT))
            update(Array(context.utf8))
            finalize().bytes.withUnsafeBytes {
                cyx_blake3_init(
                    &state, level, $0.baseAddress, Int32(CYX_BLAKE3_DERIVE_KEY_MATERIAL))
            }
        }

        /// Bytes fed so far.
        package var byteCount: UInt64 { state.total }

        package mutating func update(_ bytes: UnsafeRawBufferPointer) {
            cyx_blake3_update(&state, bytes.baseAddress, bytes.count)
        }

        package mutating func update(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { update($0) }
        }

        package mutating func update(_ bytes: ArraySlice<UInt8>) {
            bytes.withUnsafeBytes { update($0) }
        }

        /// The digest of what was fed so far; more may follow.
        package func finalize() -> Digest {
            Digest.filled { output in
                withUnsafePointer(to: state) {
                    cyx_blake3_finish($0, 0, output.baseAddress, output.count)
                }
            }
        }

        /// `count` bytes of the extended output from byte `offset` on.
        package func finalize(count: Int, offset: UInt64 = 0) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                withUnsafePointer(to: state) {
                    cyx_blake3_finish($0, offset, buffer.baseAddress, count)
                }
                filled = count
            }
        }
    }
}

extension Digest {
    /// The digest whose 32 bytes `body` writes.
    static func filled(_ body: (UnsafeMutableRawBufferPointer) -> Void) -> Digest {
        withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { output in
            body(output)
            return Digest(rawBytes: UnsafeRawBufferPointer(output))
        }
    }

    func store(into raw: UnsafeMutableRawBufferPointer, at offset: Int) {
        raw.storeBytes(of: word0.bigEndian, toByteOffset: offset, as: UInt64.self)
        raw.storeBytes(of: word1.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
        raw.storeBytes(of: word2.bigEndian, toByteOffset: offset + 16, as: UInt64.self)
        raw.storeBytes(of: word3.bigEndian, toByteOffset: offset + 24, as: UInt64.self)
    }
}

/// Calls `body` with the 32 bytes of `key`, or with null.
func withOptionalBytes(of key: Digest?, _ body: (UnsafeRawPointer?) -> Void) {
    guard let key else { return body(nil) }
    withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { bytes in
        key.store(into: bytes, at: 0)
        body(bytes.baseAddress)
    }
}
