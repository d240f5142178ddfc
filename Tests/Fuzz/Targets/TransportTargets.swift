import CyxCore
import CyxCrypto

@testable import CyxTransport

/// What packets are made of: headers, frames, payloads of handshakes, heads of messages.
let transportTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "packet-header",
        bytesMax: 64,
        seeds: {
            [
                written(64) {
                    LongHeader(
                        type: .initial, version: PacketFormat.version,
                        destination: ConnectionID(1), source: ConnectionID(2)
                    ).write(to: &$0)
                },
                [0x43] + Array(1...40),
            ]
        },
        decode: { bytes in
            try bytes.withUnsafeBytes { raw in
                if let header = LongHeader(raw) {
                    let again = written(64) { header.write(to: &$0) }
                    try BrokenProperty.check(
                        again[1...] == bytes[1..<again.count], "another long header")
                    return true
                }
                return ShortHeader(raw) != nil
            }
        }),
    FuzzTarget(
        name: "packet-number",
        bytesMax: 17,
        seeds: { [[1] + [UInt8](repeating: 0, count: 16), [0] + Array(1...16)] },
        decode: { bytes in
            guard bytes.count == 17 else { return false }
            let size = Int(bytes[0] & 3) + 1
            let received = number(bytes[1..<9]) % (PacketNumber.maximum + 1)
            let truncated = number(bytes[9..<17]) & (1 << UInt64(8 * size) - 1)
            let found = PacketNumber.decode(truncated, size: size, largestReceived: received)
            try BrokenProperty.check(
                found & (1 << UInt64(8 * size) - 1) == truncated, "\(found) ends otherwise")
            // What a sender writes, a receiver that has all before it reads.
            let wanted = min(received + 1, PacketNumber.maximum)
            let bits = PacketNumber.encodedSize(wanted, largestAcknowledged: received)
            let read = PacketNumber.decode(
                wanted & (1 << UInt64(8 * bits) - 1), size: bits, largestReceived: received)
            try BrokenProperty.check(read == wanted, "\(wanted) is read as \(read)")
            return true
        }),
    FuzzTarget(
        name: "frames",
        bytesMax: 1500,
        seeds: { FrameSamples.all },
        decode: { bytes in
            try bytes.withUnsafeBytes { raw in
                let count = try taken(TransportError.self) {
                    var decoder = FrameDecoder(raw)
                    var count = 0
                    while let frame = try decoder.next() {
                        count += 1
                        if case .acknowledgment(let ack) = frame { try checkRanges(ack) }
                        if case .stream(let stream) = frame {
                            try BrokenProperty.check(
                                stream.data.count <= raw.count, "more data than bytes")
                        }
                    }
                    return count
                }
                try BrokenProperty.check(count ?? 0 <= raw.count, "more frames than bytes")
                return count != nil
            }
        }),
    FuzzTarget(
        name: "handshake-payload",
        bytesMax: 1500,
        seeds: {
            let initial = InitialPayload(
                time: WallTime(milliseconds: 1_700_000_000_000), suites: [1, 2], versions: [1])
            var identity = ByteWriter()
            HandshakeSamples.identity.write(to: &identity)
            let response = ResponsePayload(
                suite: 1, versions: [1], originalDestination: ConnectionID(7),
                retrySource: ConnectionID(0), identity: HandshakeSamples.identity)
            return [
                [0] + initial.encoded(size: 64), [1] + response.encoded, [2] + identity.bytes,
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                try roundTrip(
                    bytes, { try payload(InitialPayload.init, $0) }, { $0.encoded(size: 0) }) != nil
            },
            { bytes in
                try roundTrip(bytes, { try payload(ResponsePayload.init, $0) }, { $0.encoded })
                    != nil
            },
            { bytes in
                try roundTrip(
                    bytes, { try payload(IdentityPayload.init, $0) },
                    { payload in
                        var writer = ByteWriter()
                        payload.write(to: &writer)
                        return writer.bytes
                    }) != nil
            },
        ]).decode),
    FuzzTarget(
        name: "retry-token", bytesMax: 256,
        seeds: { [RetrySamples.token] },
        decode: { bytes in
            var tokens = RetrySamples.tokens
            let redeemed = tokens.redeem(
                bytes, destination: ConnectionID(2), address: RetrySamples.address, now: 2)
            guard let redeemed else { return false }
            try BrokenProperty.check(bytes == RetrySamples.token, "a token of somebody else's")
            try BrokenProperty.check(redeemed == ConnectionID(1), "of another connection")
            return true
        }),
    FuzzTarget(
        name: "rpc-header",
        bytesMax: 1100,
        seeds: {
            [
                [0, 1, 2, 1, 0, 0, 0, 0, 9],
                [1] + RPCFailure(code: 3, message: "no such row").encoded,
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                guard bytes.count == 8, let header = RPCHeader(word: number(bytes[...])) else {
                    return false
                }
                try BrokenProperty.check(header.word == number(bytes[...]), "another word")
                return true
            },
            { bytes in
                try exactRoundTrip(bytes, { RPCFailure(encoded: $0) }, { $0.encoded }) != nil
            },
        ]).decode),
]

/// A payload that fills `bytes`; nil if it is none.
private func payload<Payload>(
    _ read: (inout PacketReader) throws(TransportError) -> Payload, _ bytes: [UInt8]
) throws -> Payload? {
    try taken(TransportError.self) { try bytes.decoded(read) }
}

private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
}

private func checkRanges(_ ack: AckFrame) throws {
    var last: UInt64?
    var isDescending = true
    try ack.forEachRange { range in
        if let last, range.upperBound >= last { isDescending = false }
        last = range.lowerBound
    }
    try BrokenProperty.check(isDescending, "ACK ranges that overlap")
}

/// What a packet writer with room for `size` bytes wrote.
func written(_ size: Int, _ body: (inout PacketWriter) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    let count = bytes.withUnsafeMutableBytes { raw in
        var writer = PacketWriter(raw)
        body(&writer)
        return writer.offset
    }
    return Array(bytes.prefix(count))
}

/// Tokens under a key that is always the same.
enum RetrySamples {
    private final class NoRandomness: RandomSource {
        func fill(_ buffer: UnsafeMutableRawBufferPointer) {
            for index in buffer.indices { buffer[index] = 7 }
        }
    }

    static let address = SocketAddress(ipv4: (192, 0, 2, 1), port: 9)
    private static let issued: (tokens: RetryTokens, token: [UInt8]) = {
        var tokens = RetryTokens(networkID: NetworkID(Digest(1, 2, 3, 4)))
        let token = tokens.issue(
            originalDestination: ConnectionID(1), retrySource: ConnectionID(2), address: address,
            random: NoRandomness(), now: 1)
        return (tokens, token)
    }()
    static var tokens: RetryTokens { issued.tokens }
    static var token: [UInt8] { issued.token }
}

enum HandshakeSamples {
    static let identity = IdentityPayload(
        key: Array(0..<32), signature: Array(0..<64),
        parameters: ConnectionParameters(
            source: ConnectionID(5),
            resetToken: StatelessResetToken(bytes: Array(0..<16)) ?? noToken(),
            maxData: 1 << 20, maxStreamData: 1 << 18, maxStreams: 64,
            idleTimeoutMilliseconds: 30_000, maxAckDelayMilliseconds: 5,
            maxDatagramFrameSize: 1200))

    private static func noToken() -> StatelessResetToken {
        preconditionFailure("a token has 16 bytes")
    }
}

/// Plaintexts of packets, one of each frame.
enum FrameSamples {
    static var all: [[UInt8]] {
        var ranges = RangeSet()
        ranges.insert(0..<3)
        ranges.insert(5..<9)
        ranges.insert(11..<12)
        return harmless + [
            written(200) { _ = $0.writeAcknowledgment(ranges, delayNanoseconds: 1_000_000) },
            written(64) {
                $0.writeHandshakeDone()
                $0.writeConnectionClose(3)
                $0.pad(to: 20)
            },
        ]
    }

    /// Those that an initiator may send right after the handshake and stay connected.
    static var harmless: [[UInt8]] {
        var first = RangeSet()
        first.insert(0..<1)
        let id = StreamID(index: 0, role: .initiator)
        return [
            written(64) { _ = $0.writeAcknowledgment(first, delayNanoseconds: 1_000_000) },
            written(64) {
                $0.writeStreamHeader(id, offset: 0, length: 12, isFinal: true)
                // A whole request without a body.
                $0.write([1, 1, 1, 0, 0, 0, 0, 4, 9, 9, 9, 9])
            },
            written(64) {
                $0.writePing()
                $0.writeControl(FrameType.maxData, 1 << 30)
                $0.writeControl(FrameType.maxStreamData, id.value, 1 << 29)
                $0.writeControl(FrameType.maxStreams, 100)
            },
            [UInt8(FrameType.datagram)] + Array(1...9),
            written(64) {
                let second = StreamID(index: 1, role: .initiator)
                $0.writeResetStream(second, code: 1, finalSize: 100)
                $0.writeControl(FrameType.stopSending, second.value, 2)
            },
        ]
    }
}
