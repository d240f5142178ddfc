internal import CyxCore

/// The ciphers that protect packets after the handshake.
enum CipherSuite: UInt8, Sendable, CaseIterable {
    /// In order of preference.
    case aes256GCM = 1
    case chaCha20Poly1305 = 2
}

/// What both sides promise each other for the life of a connection.
struct ConnectionParameters: Equatable, Sendable {
    static let itemsMax = 32

    /// Connection ID that the sender goes by.
    var source: ConnectionID
    var resetToken: StatelessResetToken
    /// Credit for the whole connection, for each stream, and for open streams.
    var maxData: UInt64
    var maxStreamData: UInt64
    var maxStreams: UInt64
    var idleTimeoutMilliseconds: UInt64
    var maxAckDelayMilliseconds: UInt64
    /// Largest DATAGRAM frame that the sender takes (RFC 9221 §3); 0 for none.
    var maxDatagramFrameSize: UInt64 = 0

    private enum Item: UInt16 {
        case source = 0x0F
        case resetToken = 0x02
        case idleTimeout = 0x01
        case maxData = 0x04
        case maxStreamData = 0x05
        case maxStreams = 0x08
        case maxAckDelay = 0x0B
        case maxDatagramFrameSize = 0x20
    }

    /// `id 2 ‖ length 2 ‖ value` each.
    func write(to writer: inout ByteWriter) {
        func number(_ item: Item, _ value: UInt64) {
            writer.write(item.rawValue)
            writer.write(UInt16(8))
            writer.write(value)
        }
        number(.source, source.value)
        writer.write(Item.resetToken.rawValue)
        writer.write(UInt16(StatelessResetToken.byteCount))
        writer.write(resetToken.bytes)
        number(.idleTimeout, idleTimeoutMilliseconds)
        number(.maxData, maxData)
        number(.maxStreamData, maxStreamData)
        number(.maxStreams, maxStreams)
        number(.maxAckDelay, maxAckDelayMilliseconds)
        if maxDatagramFrameSize > 0 { number(.maxDatagramFrameSize, maxDatagramFrameSize) }
    }

    /// Reads to the end of `reader`. Unknown items are skipped, repeated or missing ones refused.
    static func read(from reader: inout PacketReader) throws(TransportError)
        -> ConnectionParameters
    {
        var source, maxData, maxStreamData, maxStreams, idle, delay, datagram: UInt64?
        var token: StatelessResetToken?
        var count = 0
        while !reader.isAtEnd {
            count += 1
            guard count <= itemsMax else { throw .parameters }
            let id = try reader.readUInt16()
            let value = try reader.readSlice(UInt64(try reader.readUInt16()))
            switch Item(rawValue: id) {
            case .source: try set(&source, value)
            case .idleTimeout: try set(&idle, value)
            case .maxData: try set(&maxData, value)
            case .maxStreamData: try set(&maxStreamData, value)
            case .maxStreams: try set(&maxStreams, value)
            case .maxAckDelay: try set(&delay, value)
            case .maxDatagramFrameSize: try set(&datagram, value)
            case .resetToken:
                guard token == nil, value.count == StatelessResetToken.byteCount else {
                    throw .parameters
                }
                token = StatelessResetToken(first: value)
            case nil: continue
            }
        }
        guard let token, let source, let maxData, let maxStreamData, let maxStreams, let idle,
            let delay, maxData < 1 << 62, maxStreamData < 1 << 62, maxStreams <= 1 << 60,
            idle < 1 << 32, delay < 1 << 14
        else { throw .parameters }
        return ConnectionParameters(
            source: ConnectionID(source), resetToken: token, maxData: maxData,
            maxStreamData: maxStreamData, maxStreams: maxStreams, idleTimeoutMilliseconds: idle,
            maxAckDelayMilliseconds: delay, maxDatagramFrameSize: datagram ?? 0)
    }

    /// Takes a number of 8 bytes that was not given before.
    private static func set(
        _ number: inout UInt64?, _ value: UnsafeRawBufferPointer
    ) throws(TransportError) {
        guard number == nil, value.count == 8 else { throw .parameters }
        number = UInt64(bigEndian: value.loadUnaligned(as: UInt64.self))
    }
}

/// Payload of the first message: `time 8 ‖ n 1 ‖ suites ‖ n 1 ‖ versions 4 each ‖ padding`.
struct InitialPayload: Equatable, Sendable {
    static let listMax = 16

    var time: WallTime
    var suites: [UInt8]
    var versions: [UInt32]

    /// Padded with zero bytes to `size`.
    func encoded(size: Int) -> [UInt8] {
        var writer = ByteWriter(capacity: size)
        writer.write(UInt64(bitPattern: time.milliseconds))
        writer.write(UInt8(suites.count))
        writer.write(suites)
        writer.write(UInt8(versions.count))
        for version in versions { writer.write(version) }
        if writer.bytes.count < size {
            writer.write([UInt8](repeating: 0, count: size - writer.bytes.count))
        }
        return writer.bytes
    }

    init(time: WallTime, suites: [UInt8], versions: [UInt32]) {
        self.time = time
        self.suites = suites
        self.versions = versions
    }

    init(_ reader: inout PacketReader) throws(TransportError) {
        time = WallTime(milliseconds: Int64(bitPattern: try reader.readUInt64()))
        let suiteCount = Int(try reader.readUInt8())
        guard suiteCount <= InitialPayload.listMax else { throw .handshakeFailed }
        suites = try reader.readBytes(suiteCount)
        let versionCount = Int(try reader.readUInt8())
        guard versionCount <= InitialPayload.listMax else { throw .handshakeFailed }
        versions = []
        for _ in 0..<versionCount { versions.append(try reader.readUInt32()) }
        reader.skipPadding()
        guard reader.isAtEnd else { throw .handshakeFailed }
    }
}

/// Who sends it, and the proof: `key 32 ‖ signature 64 ‖ parameters`.
struct IdentityPayload: Equatable, Sendable {
    var key: [UInt8]
    var signature: [UInt8]
    var parameters: ConnectionParameters

    func write(to writer: inout ByteWriter) {
        writer.write(key)
        writer.write(signature)
        parameters.write(to: &writer)
    }

    init(key: [UInt8], signature: [UInt8], parameters: ConnectionParameters) {
        self.key = key
        self.signature = signature
        self.parameters = parameters
    }

    init(_ reader: inout PacketReader) throws(TransportError) {
        key = try reader.readBytes(32)
        signature = try reader.readBytes(64)
        parameters = try ConnectionParameters.read(from: &reader)
    }
}

/// Payload of the answer: `suite 1 ‖ n 1 ‖ versions 4 each ‖ odcid 8 ‖ rscid 8 ‖ identity`.
struct ResponsePayload: Equatable, Sendable {
    var suite: UInt8
    var versions: [UInt32]
    /// Destination of the first datagram, and source of the retry packet (zero without one).
    var originalDestination: ConnectionID
    var retrySource: ConnectionID
    var identity: IdentityPayload

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 320)
        writer.write(suite)
        writer.write(UInt8(versions.count))
        for version in versions { writer.write(version) }
        writer.write(originalDestination.value)
        writer.write(retrySource.value)
        identity.write(to: &writer)
        return writer.bytes
    }

    init(
        suite: UInt8, versions: [UInt32], originalDestination: ConnectionID,
        retrySource: ConnectionID, identity: IdentityPayload
    ) {
        self.suite = suite
        self.versions = versions
        self.originalDestination = originalDestination
        self.retrySource = retrySource
        self.identity = identity
    }

    init(_ reader: inout PacketReader) throws(TransportError) {
        suite = try reader.readUInt8()
        let count = Int(try reader.readUInt8())
        guard count <= InitialPayload.listMax else { throw .handshakeFailed }
        versions = []
        for _ in 0..<count { versions.append(try reader.readUInt32()) }
        originalDestination = ConnectionID(try reader.readUInt64())
        retrySource = ConnectionID(try reader.readUInt64())
        identity = try IdentityPayload(&reader)
    }
}
