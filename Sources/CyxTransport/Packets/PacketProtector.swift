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
        packet[0] ^= mask[0] & 0x1F
        for index in 0..<numberSize {
            packet[numberOffset + index] ^= mask[index + 1]
        }
    }

    /// Removes the header protection of `packet`, which is the same under every key. The clear
    /// header, which is the additional data, goes to the end of `plaintext`. Nil if the packet is
    /// too short for one.
    func unmask(
        _ packet: UnsafeRawBufferPointer, numberOffset: Int, largestReceived: UInt64?,
        into plaintext: UnsafeMutableRawBufferPointer
    ) -> UnmaskedPacket? {
        let sampleStart = numberOffset + 4
        guard packet.count >= sampleStart + PacketFormat.sampleSize else { return nil }
        let mask = header.mask(
            sample: UnsafeRawBufferPointer(
                rebasing: packet[sampleStart..<sampleStart + PacketFormat.sampleSize]))
        let first = packet[0] ^ (mask[0] & 0x1F)
        let numberSize = Int(first & 0b11) + 1
        let headerSize = numberOffset + numberSize
        guard packet.count >= headerSize + PacketFormat.tagSize,
            packet.count - PacketFormat.tagSize <= plaintext.count
        else { return nil }
        let clear = UnsafeMutableRawBufferPointer(
            rebasing: plaintext[(plaintext.count - headerSize)...])
        clear.copyMemory(from: UnsafeRawBufferPointer(rebasing: packet[..<headerSize]))
        clear[0] = first
        var truncated: UInt64 = 0
        for index in 0..<numberSize {
            let byte = packet[numberOffset + index] ^ mask[index + 1]
            clear[numberOffset + index] = byte
            truncated = truncated << 8 | UInt64(byte)
        }
        return UnmaskedPacket(
            number: PacketNumber.decode(
                truncated, size: numberSize, largestReceived: largestReceived),
            first: first, header: UnsafeRawBufferPointer(clear),
            sealed: UnsafeRawBufferPointer(rebasing: packet[headerSize...]))
    }

    /// Decrypts an unmasked packet to the start of `plaintext`, which has room for it; nil if it is
    /// not authentic.
    func open(
        _ packet: UnmaskedPacket, into plaintext: UnsafeMutableRawBufferPointer
    ) -> OpenedPacket? {
        prepareNonce(packet.number)
        let length = packet.sealed.count - PacketFormat.tagSize
        do throws(AEADError) {
            try cipher.open(
                nonce: UnsafeRawBufferPointer(nonce), aad: packet.header, sealed: packet.sealed,
                into: UnsafeMutableRawBufferPointer(rebasing: plaintext[..<length]))
        } catch {
            return nil
        }
        return OpenedPacket(
            number: packet.number, first: packet.first,
            payload: UnsafeRawBufferPointer(rebasing: plaintext[..<length]))
    }

    /// Both steps, for a packet that is surely under this key.
    func open(
        _ packet: UnsafeRawBufferPointer, numberOffset: Int, largestReceived: UInt64?,
        into plaintext: UnsafeMutableRawBufferPointer
    ) -> OpenedPacket? {
        unmask(
            packet, numberOffset: numberOffset, largestReceived: largestReceived, into: plaintext
        ).flatMap { open($0, into: plaintext) }
    }
}

/// A packet without header protection, still encrypted.
struct UnmaskedPacket {
    var number: UInt64
    /// First byte without its mask.
    var first: UInt8
    /// Borrowed from the end of the caller's plaintext buffer.
    var header: UnsafeRawBufferPointer
    /// Ciphertext and tag, borrowed from the datagram.
    var sealed: UnsafeRawBufferPointer
}

struct OpenedPacket {
    var number: UInt64
    /// First byte without its mask.
    var first: UInt8
    /// Borrowed from the memory that the caller gave for it.
    var payload: UnsafeRawBufferPointer

    /// Copies the payload to the start of `plaintext`.
    mutating func move(to plaintext: UnsafeMutableRawBufferPointer) {
        let room = UnsafeMutableRawBufferPointer(rebasing: plaintext[..<payload.count])
        room.copyMemory(from: payload)
        payload = UnsafeRawBufferPointer(room)
    }
}
