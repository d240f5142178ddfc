internal import CyxCrypto

/// Protects the packets of one direction (RFC 9001 §5): AEAD over the payload with the header as
/// additional data, then a mask over the first byte and the packet number.
final class PacketProtector {
    private let cipher: any PacketCipher
    private let header: HeaderProtector
    private let ivHigh: UInt32
    private let ivLow: UInt64
    /// The nonce of the packet at hand, kept here so that no packet allocates one.
    private let nonce: UnsafeMutableRawBufferPointer

    init(
        secret: [UInt8], suite: CipherSuite, engine: AESGCM.Engine = .best,
        schedule: KeySchedule = KeySchedule()
    ) {
        switch suite {
        case .aes256GCM:
            cipher = AESGCM(key: schedule.expand(secret, "key", count: 32), engine: engine)
            header = HeaderProtector(.aes, key: schedule.expand(secret, "hp", count: 32))
        case .chaCha20Poly1305:
            cipher = ChaChaPoly(key: schedule.expand(secret, "key", count: 32))
            header = HeaderProtector(.chaCha20, key: schedule.expand(secret, "hp", count: 32))
        }
        let iv = schedule.expand(secret, "iv", count: 12)
        ivHigh = iv[0..<4].reduce(0) { $0 << 8 | UInt32($1) }
        ivLow = iv[4..<12].reduce(0) { $0 << 8 | UInt64($1) }
        nonce = .allocate(byteCount: 12, alignment: 8)
    }

    deinit { nonce.deallocate() }

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

    /// Opens `packet` into `plaintext`, which has room for all of it. Nil if it is not authentic.
    func open(
        _ packet: UnsafeRawBufferPointer, numberOffset: Int, largestReceived: UInt64?,
        into plaintext: UnsafeMutableRawBufferPointer
    ) -> OpenedPacket? {
        let sampleStart = numberOffset + 4
        guard packet.count >= sampleStart + PacketFormat.sampleSize else { return nil }
        let mask = header.mask(
            sample: UnsafeRawBufferPointer(
                rebasing: packet[sampleStart..<sampleStart + PacketFormat.sampleSize]))
        let first = packet[0] ^ (mask[0] & 0x1F)
        let numberSize = Int(first & 0b11) + 1
        let headerSize = numberOffset + numberSize
        guard packet.count >= headerSize + PacketFormat.tagSize else { return nil }
        // The unmasked header is the additional data: assembled behind the plaintext's room.
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
        let number = PacketNumber.decode(
            truncated, size: numberSize, largestReceived: largestReceived)
        prepareNonce(number)
        let length = packet.count - headerSize - PacketFormat.tagSize
        guard length <= plaintext.count - headerSize else { return nil }
        do throws(AEADError) {
            try cipher.open(
                nonce: UnsafeRawBufferPointer(nonce), aad: UnsafeRawBufferPointer(clear),
                sealed: UnsafeRawBufferPointer(rebasing: packet[headerSize...]),
                into: UnsafeMutableRawBufferPointer(rebasing: plaintext[..<length]))
        } catch {
            return nil
        }
        return OpenedPacket(
            number: number, first: first,
            payload: UnsafeRawBufferPointer(rebasing: plaintext[..<length]))
    }
}

struct OpenedPacket {
    var number: UInt64
    /// First byte without its mask.
    var first: UInt8
    /// Borrowed from the caller's plaintext buffer.
    var payload: UnsafeRawBufferPointer
}
