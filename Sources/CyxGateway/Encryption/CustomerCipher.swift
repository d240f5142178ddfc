internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects

/// The cipher of one object under a customer's key.
///
/// AES-256 in counter mode: sizes and offsets stay those of the plain bytes, so that ranges, listings
/// and the joining of parts go on as they are. It needs no code for authenticity of its own: what is
/// encrypted here is an object like any other to the layer below, which seals each chunk with an
/// AEAD and signs what names it. Every object has a salt of its own, every part a nonce beside it,
/// and the stream's key is derived from both (HKDF, RFC 5869), so that no stream is used twice.
struct CustomerCipher: Sendable {
    static let saltBytes = 32
    /// What a part's own key is derived with.
    static let nonceBytes = 16

    private static let saltName = S3Headers.hiddenPrefix + "sse-salt"
    private static let proofName = S3Headers.hiddenPrefix + "sse-proof"

    /// Derived from the customer's key and the object's salt.
    private let secret: [UInt8]
    private let salt: [UInt8]

    private init(_ key: CustomerKey, salt: [UInt8]) {
        secret = HKDF.extract(salt: salt, material: key.key)
        self.salt = salt
    }

    /// For an object that is about to be written.
    init(_ key: CustomerKey, random: any RandomSource) {
        self.init(key, salt: random.bytes(CustomerCipher.saltBytes))
    }

    /// For an object whose stored headers are these. Nil if it is not encrypted with a customer's
    /// key; throws `AccessDenied` if it is, with another one.
    init?(_ key: CustomerKey, stored: [String: String]) throws(S3Error) {
        guard let salt = stored[CustomerCipher.saltName].flatMap({ Hex.decode($0) }) else {
            return nil
        }
        self.init(key, salt: salt)
        guard isEqualInConstantTime(stored[CustomerCipher.proofName] ?? "", proof) else {
            throw .accessDenied(
                "The customer's key is not the one that the object was encrypted with")
        }
    }

    static func isUsed(by stored: [String: String]) -> Bool { stored[saltName] != nil }

    /// Shows that a key is the same one, and nothing of it.
    private var proof: String {
        Hex.encode(HKDF.expand(key: secret, info: Array("proof".utf8), count: 32))
    }

    /// Among the headers of the object, under names that no answer shows.
    func store(in headers: inout [String: String]) {
        headers[CustomerCipher.saltName] = Hex.encode(salt)
        headers[CustomerCipher.proofName] = proof
    }

    private func streamKey(nonce: [UInt8]) -> [UInt8] {
        HKDF.expand(key: secret, info: Array("stream".utf8) + nonce, count: AESCTR.keySize)
    }

    /// Encrypts what is put at once, or as the part with that nonce.
    func encrypting(
        _ source: any ByteSource, nonce: [UInt8] = [], blocking: any BlockingPool
    ) -> any ByteSource {
        CipheredSource(
            source, streams: [(end: .max, key: streamKey(nonce: nonce))], offset: 0,
            blocking: blocking)
    }

    /// Decrypts the bytes of an object that begin at `offset`.
    func decrypting(
        _ source: any ByteSource, of info: ObjectInfo, from offset: UInt64,
        blocking: any BlockingPool
    ) -> any ByteSource {
        var streams: [(end: UInt64, key: [UInt8])] = []
        var end: UInt64 = 0
        for part in info.parts {
            end += part.size
            streams.append((end, streamKey(nonce: part.nonce)))
        }
        if streams.isEmpty { streams = [(.max, streamKey(nonce: []))] }
        return CipheredSource(source, streams: streams, offset: offset, blocking: blocking)
    }
}

/// Bytes with the key streams of the parts that they lie in put over them.
private struct CipheredSource: ByteSource {
    private var base: any ByteSource
    /// Of each part the offset at which it ends, and its key; ascending.
    private let streams: [(end: UInt64, key: [UInt8])]
    private var offset: UInt64
    private let blocking: any BlockingPool

    init(
        _ base: any ByteSource, streams: [(end: UInt64, key: [UInt8])], offset: UInt64,
        blocking: any BlockingPool
    ) {
        self.base = base
        self.streams = streams
        self.offset = offset
        self.blocking = blocking
    }

    mutating func next() async throws -> [UInt8]? {
        guard let bytes = try await base.next() else { return nil }
        let (streams, start) = (streams, offset)
        offset += UInt64(bytes.count)
        return await blocking.run { CipheredSource.apply(streams, to: bytes, at: start) }
    }

    private static func apply(
        _ streams: [(end: UInt64, key: [UInt8])], to bytes: [UInt8], at start: UInt64
    ) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var begin: UInt64 = 0
        for stream in streams {
            defer { begin = stream.end }
            let from = start + UInt64(result.count)
            guard from < stream.end, result.count < bytes.count else { continue }
            let count = min(UInt64(bytes.count - result.count), stream.end - from)
            let piece = Array(bytes[result.count..<result.count + Int(count)])
            result += AESCTR.apply(key: stream.key, at: from - begin, to: piece)
        }
        return result
    }
}
