import CyxCore

/// One decoder of bytes from outside, with what must hold of it for any bytes whatever.
struct FuzzTarget: Sendable {
    /// In lower case with hyphens; the folder of its corpus.
    var name: String
    /// Longest input worth trying, in bytes.
    var bytesMax = 4096
    /// Mutated inputs that the unit tests try; fewer where one is expensive.
    var trials = 3000
    /// Inputs that the decoder takes, out of the encoders that others use.
    var seeds: @Sendable () throws -> [[UInt8]]
    /// Decodes and says whether the bytes were taken. Throws `BrokenProperty`, or traps.
    var decode: @Sendable ([UInt8]) throws -> Bool

    static let all: [FuzzTarget] =
        textTargets + transportTargets + endpointTargets + overlayTargets + tableTargets
        + objectTargets + delegationTargets + auditTargets + storageTargets + s3Targets
        + s3DocumentTargets
        + s3HeaderTargets + clientTargets + restTargets + datasetTargets + eventTargets
        + peerTargets
}

/// A decoder did what it must not do for any input.
struct BrokenProperty: Error, CustomStringConvertible {
    var description: String

    static func check(_ holds: Bool, _ property: @autoclosure () -> String) throws(BrokenProperty) {
        guard holds else { throw BrokenProperty(description: property()) }
    }
}

/// The value of `decode`, nil where it throws the error that it should throw. Any other error is a
/// broken property.
func taken<Value, Failure: Error>(
    _ failure: Failure.Type, _ decode: () throws -> Value
) throws -> Value? {
    do {
        return try decode()
    } catch is Failure {
        return nil
    } catch {
        throw BrokenProperty(description: "throws \(error) in place of a \(Failure.self)")
    }
}

/// Decodes, encodes and decodes again: the same value and the same bytes must come out.
func roundTrip<Value: Equatable>(
    _ bytes: [UInt8], _ decode: ([UInt8]) throws -> Value?, _ encode: (Value) -> [UInt8]
) throws -> Value? {
    guard let value = try decode(bytes) else { return nil }
    let encoded = encode(value)
    guard let again = try decode(encoded) else {
        throw BrokenProperty(description: "does not take what it wrote: \(Hex.encode(encoded))")
    }
    try BrokenProperty.check(again == value, "\(value) becomes \(again)")
    try BrokenProperty.check(encode(again) == encoded, "two encodings of \(value)")
    return value
}

/// The same where the encoding is canonical: exactly the bytes that were decoded come out.
func exactRoundTrip<Value: Equatable>(
    _ bytes: [UInt8], _ decode: ([UInt8]) throws -> Value?, _ encode: (Value) -> [UInt8]
) throws -> Value? {
    guard let value = try decode(bytes) else { return nil }
    try BrokenProperty.check(encode(value) == bytes, "\(value) has a second spelling")
    return value
}

/// A protobuf message: taken or refused with a `DecodingError`, and canonical once encoded.
func message<Message: ProtobufMessage>(
    _ type: Message.Type, _ bytes: [UInt8]
) throws -> Message? {
    try roundTrip(
        bytes, { bytes in try taken(DecodingError.self) { try Message(protobuf: bytes) } },
        { $0.protobufBytes() })
}

/// Decoders that share a target: the first byte of an input chooses.
struct Choice {
    typealias Decode = @Sendable ([UInt8]) throws -> Bool
    var decoders: [Decode]

    func decode(_ bytes: [UInt8]) throws -> Bool {
        guard let first = bytes.first, Int(first) < decoders.count else { return false }
        return try decoders[Int(first)](Array(bytes.dropFirst()))
    }
}

/// Cuts one input into several: each piece has its length, 2 bytes, before it.
enum Pieces {
    static func join(_ pieces: [[UInt8]]) -> [UInt8] {
        pieces.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 0xFF)] + $0 }
    }

    /// At most `limit` pieces; a length beyond the end takes what is there.
    static func split(_ bytes: [UInt8], limit: Int) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while rest.count >= 2, pieces.count < limit {
            let count = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
            rest = rest.dropFirst(2)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }
}

extension [UInt8] {
    /// Whatever these bytes are as UTF-8; what is not becomes U+FFFD.
    var asText: String { String(decoding: self, as: UTF8.self) }
}

/// The bytes of `text`.
func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }
