/// Something that can be read from the protobuf wire format.
package protocol ProtobufDecodable {
    /// The message with every field at its default.
    init()

    /// Reads fields until the reader's end and merges them: a scalar given twice keeps the last
    /// value, a repeated field grows, a nested message merges.
    ///
    /// Fields that this version does not know are skipped and not kept: nothing here passes on a
    /// message that it has decoded. Whatever is signed is signed, stored and forwarded as the bytes
    /// that were received, so that no re-encoding can lose a field of a newer writer.
    mutating func merge(from reader: inout ProtobufReader) throws(DecodingError)
}

/// Something that can be written in the protobuf wire format.
package protocol ProtobufEncodable {
    /// Writes the fields in ascending number.
    ///
    /// It runs twice per encoding, first to measure and then to write, and must do the same both
    /// times.
    func write(to writer: inout ProtobufWriter)
}

/// A protobuf message (proto3), as `protoc-gen-cyx` generates it.
///
/// Encoding is canonical: fields in ascending number, defaults left out, numbers packed, map
/// entries sorted by key. Equal messages give equal bytes, the same as those of Google's C++ and
/// Python runtimes with deterministic output. (upb orders map entries differently.)
package protocol ProtobufMessage: ProtobufDecodable, ProtobufEncodable, Hashable, Sendable {}

extension ProtobufDecodable {
    /// Reads a whole message; `DecodingError` for anything that is not one.
    package init(protobuf bytes: [UInt8]) throws(DecodingError) {
        try self.init(protobuf: bytes.span.bytes)
    }

    /// Reads a whole message from borrowed bytes.
    package init(protobuf span: RawSpan) throws(DecodingError) {
        self.init()
        var reader = ProtobufReader(span)
        try merge(from: &reader)
    }
}

extension ProtobufEncodable {
    /// The encoded message, in one allocation of exactly its size.
    package func protobufBytes() -> [UInt8] {
        var measure = ProtobufWriter()
        write(to: &measure)
        var writer = ProtobufWriter(measuredBy: measure)
        write(to: &writer)
        return writer.finish()
    }

    /// The encoded length in bytes.
    package var protobufSize: Int {
        var measure = ProtobufWriter()
        write(to: &measure)
        return measure.size
    }
}

/// An open enumeration: numbers that this version does not know are kept.
package protocol ProtobufEnum: Hashable, Sendable {
    init(rawValue: Int32)
    var rawValue: Int32 { get }
}

/// The low three bits of a field's tag. The deprecated groups (3 and 4) are rejected.
package enum ProtobufWireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case fixed32 = 5
}
