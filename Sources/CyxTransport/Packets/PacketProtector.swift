internal import CyxCrypto

/// Protects the packets of one direction (RFC 9001 §5): AEAD over the payload with the header as
/// additional data, then a mask over the first byte and the packet number.
final class PacketProtector {
    private let cipher: any PacketCipher
    private let header: HeaderProtector
    private let secret: [UInt8]
    private let suite: CipherSuite
    private let engine: AESGCM.Engine
    private let schedule: KeySchedule
    private let ivHigh: UInt32
    private let ivLow: UInt64
    /// The nonce of the packet at hand, kept here so that no packet allocates one.
    private let nonce: UnsafeMutableRawBufferPointer

    convenience init(
        secret: [UInt8], suite: CipherSuite, engine: AESGCM.Engine = .best,
        schedule: KeySchedule = KeySchedule()
    ) {
        self.init(
            secret: secret, suite: suite, engine: engine, schedule: schedule,
            header: HeaderProtector(
                suite == .aes256GCM ? .aes : .chaCha20,
                key: schedule.expand(secret, "hp", count: 32)))
    }

    private init(
        secret: [UInt8], suite: CipherSuite, engine: AESGCM.Engine, schedule: KeySchedule,
        header: HeaderProtector
    ) {
        self.secret = secret
        self.suite = suite
        self.engine = engine
        self.schedule = schedule
        self.header = header
        let key = schedule.expand(secret, "key", count: 32)
        switch suite {
        case .aes256GCM: cipher = AESGCM(key: key, engine: engine)
        case .chaCha20Poly1305: cipher = ChaChaPoly(key: key)
        }
        let iv = schedule.expand(secret, "iv", count: 12)
        ivHigh = iv[0..<4].reduce(0) { $0 << 8 | UInt32($1) }
        ivLow = iv[4..<12].reduce(0) { $0 << 8 | UInt64($1) }
        nonce = .allocate(byteCount: 12, alignment: 8)
    }

    deinit { nonce.deallocate() }

    /// The protector after a key update (RFC 9001 §6.1); header protection stays as it is.
    func next() -> PacketProtector {
        PacketProtector(
            secret: schedule.expand(secret, "ku", count: 32), suite: suite, engine: engine,
            schedule: schedule, header: header)
    }

    @inline(__always)
    private func prepareNonce(_ number: UInt64) {
        nonce.storeBytes(of: ivHigh.bigEndian, toByteOffset: 0, as: UInt32.self)
        nonce.storeBytes(of: (ivLow ^ number).bigEndian, toByteOffset: 4, as: UInt64.self)
    }

    /// Seals `packet` in place: a header of `headerSize` bytes that ends in a packet number of
    /// `numberSize`, the payload, and room for the tag.
    func seal(
        _ packet: UnsafeMutableRawBufferPointer, headerSize: Int, numberSize: Int, number: UInt64
    ) {
        prepareNonce(number)
        let payload = UnsafeMutableRawBufferPointer(rebasing: packet[headerSize...])
        cipher.seal(
            nonce: UnsafeRawBufferPointer(nonce),
            aad: UnsafeRawBufferPointer(rebasing: packet[..<headerSize]),
            plaintext: UnsafeRawBufferPointer(
                rebasing: payload[..<(payload.count - PacketFormat.tagSize)]),
            into: payload)
        let numberOffset = headerSize - numberSize
        let mask = header.mask(
            sample: UnsafeRawBufferPointer(
                rebasing: packet[numberOffset + 4..<numberOffset + 4 + PacketFormat.sampleSize]))
        packet[0] ^= mask.first & 0x1F
        let kept = UInt32.max << UInt32(32 - 8 * numberSize)
        let word = UInt32(
            bigEndian: packet.loadUnaligned(fromByteOffset: numberOffset, as: UInt32.self))
        packet.storeBytes(
            of: (word ^ (mask.number & kept)).bigEndian, toByteOffset: numberOffset,
            as: UInt32.self)
    }

    /// Removes the header protection of `packet`, which is the same under every key. The clear
    /// header, which is the additional data, goes to the end of `scratch`. Nil if the packet is too short for one, or too long for `scratch`.
    @inline(__always)
    func unmask(
        _ packet: UnsafeRawBufferPointer, numberOffset: Int, largestReceived: UInt64?,
        into scratch: UnsafeMutableRawBufferPointer
    ) -> UnmaskedPacket? {
        let sampleStart = numberOffset + 4
        guard packet.count >= sampleStart + PacketFormat.sampleSize,
            packet.count <= scratch.count
        else { return nil }
        let mask = header.mask(
            sample: UnsafeRawBufferPointer(
                rebasing: packet[sampleStart..<sampleStart + PacketFormat.sampleSize]))
        let first = packet[0] ^ (mask.first & 0x1F)
        let numberSize = Int(first & 0b11) + 1
        let headerSize = numberOffset + numberSize
        guard packet.count >= headerSize + PacketFormat.tagSize else { return nil }
        // Four bytes of number in any case, of which the last ones may be none.
        let clear = UnsafeMutableRawBufferPointer(
            rebasing: scratch[(scratch.count - sampleStart)...])
        clear.copyMemory(from: UnsafeRawBufferPointer(rebasing: packet[..<numberOffset]))
        clear[0] = first
        let word =
            UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: numberOffset, as: UInt32.self))
            ^ mask.number
        clear.storeBytes(of: word.bigEndian, toByteOffset: numberOffset, as: UInt32.self)
        return UnmaskedPacket(
            number: PacketNumber.decode(
                UInt64(word >> UInt32(32 - 8 * numberSize)), size: numberSize,
                largestReceived: largestReceived),
            headerSize: headerSize, first: first)
    }

    /// The clear header that `unmask` has put into `scratch`.
    @inline(__always)
    private func header(
        of clear: UnmaskedPacket, in scratch: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        let start = scratch.count - (clear.headerSize - clear.numberSize + 4)
        return UnsafeRawBufferPointer(rebasing: scratch[start..<start + clear.headerSize])
    }

    /// Decrypts `packet`, which `unmask` made `clear` of with the same `scratch`, to the start of
    /// `plaintext`, which has room for it; nil if it is not authentic.
    func open(
        _ packet: UnsafeRawBufferPointer, _ clear: UnmaskedPacket,
        scratch: UnsafeMutableRawBufferPointer, into plaintext: UnsafeMutableRawBufferPointer
    ) -> OpenedPacket? {
        prepareNonce(clear.number)
        let sealed = UnsafeRawBufferPointer(rebasing: packet[clear.headerSize...])
        let length = sealed.count - PacketFormat.tagSize
        do throws(AEADError) {
            try cipher.open(
                nonce: UnsafeRawBufferPointer(nonce), aad: header(of: clear, in: scratch),
                sealed: sealed,
                into: UnsafeMutableRawBufferPointer(rebasing: plaintext[..<length]))
        } catch {
            return nil
        }
        return OpenedPacket(number: clear.number, payloadSize: length, first: clear.first)
    }
}

// Both are small enough to be given in registers: what a caller reads back from memory in other
// pieces than it was written in has to wait for the stores.

extension HeaderMask {
    /// What hides bits of the packet's first byte.
    fileprivate var first: UInt8 { UInt8(truncatingIfNeeded: bits) }

    /// What hides a packet number of four bytes, as a big-endian integer; a shorter one has the
    /// upper bytes of it.
    fileprivate var number: UInt32 { UInt32(truncatingIfNeeded: bits >> 8).byteSwapped }
}

/// A packet without header protection, still encrypted.
struct UnmaskedPacket {
    var number: UInt64
    var headerSize: Int
    /// First byte without its mask.
    var first: UInt8

    /// Bytes of the packet number, which ends the header.
    var numberSize: Int { Int(first & 0b11) + 1 }
}

/// A packet whose payload is in the memory that the caller gave for it.
struct OpenedPacket {
    var number: UInt64
    var payloadSize: Int
    /// First byte without its mask.
    var first: UInt8
}
