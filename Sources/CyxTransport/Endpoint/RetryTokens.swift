internal import CyxCore
internal import CyxCrypto

/// The tokens of retry packets (decisions.md §D): who repeats one has received it at the address
/// that it was made for, and until then nothing about the sender is remembered.
///
/// A token is 66 bytes: `type 1 ‖ key ID 1 ‖ nonce 24 ‖ XChaCha20-Poly1305{issued 8 ‖ original
/// destination 8 ‖ retry source 8} ‖ tag 16`, with network, address and port as additional data.
/// Its keys are drawn at random and live in this process only.
struct RetryTokens: Sendable {
    static let byteCount = 2 + XChaChaPoly.nonceSize + contentSize + XChaChaPoly.tagSize
    /// Nanoseconds that a token is good for, and that a key makes tokens.
    static let validity: Int64 = 10_000_000_000
    static let rotation: Int64 = 3_600_000_000_000
    /// Tokens remembered as used in one span of `validity`; more than that many are refused.
    static let usedMax = 1 << 16
    private static let type: UInt8 = 1
    private static let contentSize = 24

    private struct Key: Sendable {
        var id: UInt8
        var cipher: XChaChaPoly
        var made: Int64
    }

    private let networkID: NetworkID
    private let defences: TransportDefences
    private var current: Key?
    /// Tokens of the last hour's key are good for as long as any other.
    private var previous: Key?
    /// Nonces of tokens taken in this span of time and in the one before.
    private var used: Set<[UInt8]> = []
    private var usedBefore: Set<[UInt8]> = []
    private var usedSince: Int64?

    init(networkID: NetworkID, defences: TransportDefences = .all) {
        self.networkID = networkID
        self.defences = defences
    }

    /// Tokens that are remembered as used.
    var usedCount: Int { used.count + usedBefore.count }

    private func additionalData(_ address: SocketAddress) -> [UInt8] {
        var writer = ByteWriter(capacity: 50)
        writer.write(networkID.digest)
        guard defences.contains(.tokenAddress) else { return writer.bytes }
        writer.write(UInt64(truncatingIfNeeded: address.ip >> 64))
        writer.write(UInt64(truncatingIfNeeded: address.ip))
        writer.write(address.port)
        return writer.bytes
    }

    private mutating func key(_ random: any RandomSource, now: Int64) -> Key {
        if let current, now - current.made < RetryTokens.rotation { return current }
        previous = current
        let key = Key(
            id: (current?.id ?? 0) &+ 1,
            cipher: XChaChaPoly(key: random.bytes(XChaChaPoly.keySize)), made: now)
        current = key
        return key
    }

    /// A token for who says to be at `address`.
    mutating func issue(
        originalDestination: ConnectionID, retrySource: ConnectionID, address: SocketAddress,
        random: any RandomSource, now: Int64
    ) -> [UInt8] {
        let key = key(random, now: now)
        var content = ByteWriter(capacity: RetryTokens.contentSize)
        content.write(UInt64(bitPattern: now))
        content.write(originalDestination.value)
        content.write(retrySource.value)
        let nonce = random.bytes(XChaChaPoly.nonceSize)
        return [RetryTokens.type, key.id] + nonce
            + key.cipher.seal(
                nonce: nonce, aad: additionalData(address), plaintext: content.bytes)
    }

    /// The destination of the very first datagram of who repeats `token` from `address` to
    /// `destination`; nil unless the token is ours, for both of these, fresh, and unused. What it
    /// answers counts as used, so ask last.
    mutating func redeem(
        _ token: [UInt8], destination: ConnectionID, address: SocketAddress, now: Int64
    ) -> ConnectionID? {
        guard token.count == RetryTokens.byteCount, token[0] == RetryTokens.type,
            let key = [current, previous].lazy.compactMap({ $0 }).first(where: {
                $0.id == token[1]
            })
        else { return nil }
        let nonce = Array(token[2..<2 + XChaChaPoly.nonceSize])
        let content: [UInt8]
        do throws(AEADError) {
            content = try key.cipher.open(
                nonce: nonce, aad: additionalData(address),
                sealed: Array(token[(2 + XChaChaPoly.nonceSize)...]))
        } catch {
            return nil
        }
        let words = (0..<3).map { word in
            content[word * 8..<word * 8 + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        let age = now - Int64(bitPattern: words[0])
        guard age >= 0, age < RetryTokens.validity, words[2] == destination.value,
            use(nonce, now: now) || !defences.contains(.tokenReplay)
        else { return nil }
        return ConnectionID(words[1])
    }

    /// False if it was used before, or if too many were to tell.
    private mutating func use(_ nonce: [UInt8], now: Int64) -> Bool {
        let since = usedSince ?? now
        if usedSince == nil || now - since >= RetryTokens.validity {
            // What was used earlier than a whole span ago has expired.
            usedBefore = now - since < 2 * RetryTokens.validity ? used : []
            used = []
            usedSince = now
        }
        guard !usedBefore.contains(nonce), used.count < RetryTokens.usedMax else { return false }
        return used.insert(nonce).inserted
    }
}

/// The tag at the end of a retry packet: keyed BLAKE3 over the destination of the datagram that it
/// answers and the packet, so that only who saw that datagram can make one; in a private network,
/// only who knows its key as well.
struct RetryIntegrity: Sendable {
    static let tagSize = 16
    private let key: Digest

    init(networkKey: [UInt8], networkID: NetworkID) {
        key = BLAKE3.hash(
            Primitives.hkdf(
                secret: networkKey, salt: [], info: Array("retry".utf8) + networkID.bytes,
                count: 32))
    }

    func tag(originalDestination: ConnectionID, packet: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: packet.count + ConnectionID.byteCount)
        writer.write(originalDestination.value)
        writer.write(packet)
        return Array(BLAKE3.keyedHash(key: key, writer.bytes).bytes.prefix(RetryIntegrity.tagSize))
    }

    /// The token in a whole retry packet; nil if its tag does not check.
    func token(in packet: [UInt8], originalDestination: ConnectionID) -> [UInt8]? {
        let end = PacketFormat.longHeaderSize + RetryTokens.byteCount
        guard packet.count == end + RetryIntegrity.tagSize else { return nil }
        let expected = tag(originalDestination: originalDestination, packet: Array(packet[..<end]))
        var difference: UInt8 = 0
        for index in 0..<RetryIntegrity.tagSize {
            difference |= expected[index] ^ packet[end + index]
        }
        return difference == 0 ? Array(packet[PacketFormat.longHeaderSize..<end]) : nil
    }
}
