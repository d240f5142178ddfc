internal import CyxCore
internal import CyxCrypto

/// What stays the same in the long headers of all versions: `1xxxxxxx ‖ version 4 ‖ DCID 8 ‖ SCID 8`
/// (in the manner of RFC 8999).
struct InvariantHeader {
    var version: UInt32
    var destination: ConnectionID
    var source: ConnectionID

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= PacketFormat.longHeaderSize, bytes[0] & 0x80 != 0 else { return nil }
        version = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        destination = ConnectionID(
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt64.self)))
        source = ConnectionID(
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 13, as: UInt64.self)))
    }
}

/// Version negotiation (RFC 9000 §6): who speaks a version that we do not is told which ones we
/// do. The packet is not protected and is therefore only a hint; that the best common version was
/// used is checked with the lists inside the handshake's messages.
extension Endpoint {
    /// Nothing is remembered, so this bounds only what a flood makes us send.
    static let versionAnswersPerSecond = 100

    /// Answers a datagram of an unknown version with `1xxxxxxx ‖ 0 4 ‖ DCID 8 ‖ SCID 8 ‖ versions
    /// 4 each`. In private networks nobody is answered who has not shown that he knows the key.
    mutating func answerVersion(
        _ header: InvariantHeader, size: Int, to source: SocketAddress, now: Int64
    ) {
        guard !isPrivate, size >= PacketFormat.initialDatagramSizeMin,
            answers.count < Endpoint.answersMax, versionLimiter.allows(now: now)
        else { return }
        var writer = ByteWriter(capacity: PacketFormat.longHeaderSize + 4 * context.versions.count)
        writer.write(UInt8(truncatingIfNeeded: random.next()) | 0x80)
        writer.write(PacketFormat.negotiationVersion)
        writer.write(header.source.value)
        writer.write(header.destination.value)
        for version in context.versions { writer.write(version) }
        answers.append(PendingAnswer(address: source, bytes: writer.bytes))
    }

    /// A list of versions, for who sent a first message. It counts only if it belongs to that
    /// message and lacks its version: a responder that has it would not have sent a list.
    mutating func handleVersions(
        _ datagram: UnsafeRawBufferPointer, _ header: InvariantHeader, wall: WallTime, now: Int64
    ) {
        let size = datagram.count - PacketFormat.longHeaderSize
        guard !isPrivate, size > 0, size % 4 == 0, size / 4 <= InitialPayload.listMax,
            let slot = routes[header.destination], let connection = slots[slot].connection,
            connection.isFirstMessageUnanswered, !connection.isVersionNegotiated,
            connection.originalDestination == header.source
        else { return }
        var list: [UInt32] = []
        for start in stride(from: PacketFormat.longHeaderSize, to: datagram.count, by: 4) {
            list.append(
                UInt32(bigEndian: datagram.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        }
        guard !list.contains(connection.version) else { return }
        touch(slot)
        guard let version = context.versions.first(where: list.contains) else {
            slots[slot].connection?.close(.local(.noCommonVersion), telling: nil)
            return
        }
        var setup = connection.setup
        setup.originalDestination = ConnectionID(random.next())
        do throws(TransportError) {
            var next = try Connection.dial(
                setup, version: version, context: context,
                ephemeral: X25519.PrivateKey(bytes: random.bytes(32)), wall: wall, now: now)
            next.isVersionNegotiated = true
            next.trace = connection.trace
            next.handshakeDeadline = connection.handshakeDeadline
            slots[slot].connection = next
        } catch {
            slots[slot].connection?.close(.local(error), telling: nil)
        }
    }
}
