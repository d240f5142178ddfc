/// How one protobuf field type is read and written: its wire type, default and payload.
package protocol ProtobufCodec {
    associatedtype Value: Hashable, Sendable

    static var wireType: ProtobufWireType { get }
    /// The value of a field that was never set.
    static var initial: Value { get }
    /// Whether a field of implicit presence is left out.
    static func isDefault(_ value: Value) -> Bool
    /// Reads the payload into `value`; a message merges, everything else replaces.
    static func read(
        _ value: inout Value, from reader: inout ProtobufReader
    ) throws(DecodingError)
    /// Writes the payload, with its length where it has one.
    static func write(_ value: Value, to writer: inout ProtobufWriter)
}

/// A field type that may be the key of a map.
package protocol ProtobufMapKeyCodec: ProtobufCodec {
    /// The order of entries in encoded maps.
    static func precedes(_ first: Value, _ second: Value) -> Bool
}

extension ProtobufMapKeyCodec where Value: Comparable {
    package static func precedes(_ first: Value, _ second: Value) -> Bool { first < second }
}

extension ProtobufCodec {
    package static func isDefault(_ value: Value) -> Bool { value == initial }
}

/// `int32`: a negative number takes ten bytes, as its 64-bit form.
package enum ProtobufInt32: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: Int32 = 0

    package static func read(
        _ value: inout Int32, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = Int32(truncatingIfNeeded: try reader.readVarint())
    }

    package static func write(_ value: Int32, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(bitPattern: Int64(value)))
    }
}

/// `int64`.
package enum ProtobufInt64: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: Int64 = 0

    package static func read(
        _ value: inout Int64, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = Int64(bitPattern: try reader.readVarint())
    }

    package static func write(_ value: Int64, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(bitPattern: value))
    }
}

/// `uint32`: greater numbers lose their high bits, as in every runtime.
package enum ProtobufUInt32: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: UInt32 = 0

    package static func read(
        _ value: inout UInt32, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = UInt32(truncatingIfNeeded: try reader.readVarint())
    }

    package static func write(_ value: UInt32, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(value))
    }
}

/// `uint64`.
package enum ProtobufUInt64: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: UInt64 = 0

    package static func read(
        _ value: inout UInt64, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readVarint()
    }

    package static func write(_ value: UInt64, to writer: inout ProtobufWriter) {
        writer.writeVarint(value)
    }
}

/// `sint32`, zigzag coded.
package enum ProtobufSInt32: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: Int32 = 0

    private static func zigzagDecoded(_ raw: UInt32) -> Int32 {
        Int32(bitPattern: raw >> 1) ^ -Int32(bitPattern: raw & 1)
    }

    package static func read(
        _ value: inout Int32, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = zigzagDecoded(UInt32(truncatingIfNeeded: try reader.readVarint()))
    }

    package static func write(_ value: Int32, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(UInt32(bitPattern: value << 1 ^ value >> 31)))
    }
}

/// `sint64`, zigzag coded.
package enum ProtobufSInt64: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: Int64 = 0

    private static func zigzagDecoded(_ raw: UInt64) -> Int64 {
        Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    package static func read(
        _ value: inout Int64, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = zigzagDecoded(try reader.readVarint())
    }

    package static func write(_ value: Int64, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }
}

/// `fixed32`.
package enum ProtobufFixed32: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.fixed32
    package static let initial: UInt32 = 0

    package static func read(
        _ value: inout UInt32, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readFixed(as: UInt32.self)
    }

    package static func write(_ value: UInt32, to writer: inout ProtobufWriter) {
        writer.writeFixed(value)
    }
}

/// `fixed64`.
package enum ProtobufFixed64: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.fixed64
    package static let initial: UInt64 = 0

    package static func read(
        _ value: inout UInt64, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readFixed(as: UInt64.self)
    }

    package static func write(_ value: UInt64, to writer: inout ProtobufWriter) {
        writer.writeFixed(value)
    }
}

/// `sfixed32`.
package enum ProtobufSFixed32: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.fixed32
    package static let initial: Int32 = 0

    package static func read(
        _ value: inout Int32, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readFixed(as: Int32.self)
    }

    package static func write(_ value: Int32, to writer: inout ProtobufWriter) {
        writer.writeFixed(value)
    }
}

/// `sfixed64`.
package enum ProtobufSFixed64: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.fixed64
    package static let initial: Int64 = 0

    package static func read(
        _ value: inout Int64, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readFixed(as: Int64.self)
    }

    package static func write(_ value: Int64, to writer: inout ProtobufWriter) {
        writer.writeFixed(value)
    }
}

/// `bool`: any number but 0 is true.
package enum ProtobufBool: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.varint
    package static let initial: Bool = false

    package static func precedes(_ first: Bool, _ second: Bool) -> Bool { !first && second }

    package static func read(
        _ value: inout Bool, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readVarint() != 0
    }

    package static func write(_ value: Bool, to writer: inout ProtobufWriter) {
        writer.writeVarint(value ? 1 : 0)
    }
}

/// `float`; only positive zero is the default.
package enum ProtobufFloat: ProtobufCodec {
    package static let wireType = ProtobufWireType.fixed32
    package static let initial: Float = 0

    package static func isDefault(_ value: Float) -> Bool { value.bitPattern == 0 }

    package static func read(
        _ value: inout Float, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = Float(bitPattern: try reader.readFixed(as: UInt32.self))
    }

    package static func write(_ value: Float, to writer: inout ProtobufWriter) {
        writer.writeFixed(value.bitPattern)
    }
}

/// `double`; only positive zero is the default.
package enum ProtobufDouble: ProtobufCodec {
    package static let wireType = ProtobufWireType.fixed64
    package static let initial: Double = 0

    package static func isDefault(_ value: Double) -> Bool { value.bitPattern == 0 }

    package static func read(
        _ value: inout Double, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = Double(bitPattern: try reader.readFixed(as: UInt64.self))
    }

    package static func write(_ value: Double, to writer: inout ProtobufWriter) {
        writer.writeFixed(value.bitPattern)
    }
}

/// `string`: rejects what is not UTF-8. Map keys sort by their UTF-8 bytes.
package enum ProtobufString: ProtobufMapKeyCodec {
    package static let wireType = ProtobufWireType.lengthDelimited
    package static let initial: String = ""

    package static func precedes(_ first: String, _ second: String) -> Bool {
        first.utf8.lexicographicallyPrecedes(second.utf8)
    }

    package static func read(
        _ value: inout String, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readString()
    }

    package static func write(_ value: String, to writer: inout ProtobufWriter) {
        writer.writeString(value)
    }
}

/// `bytes`, copied once.
package enum ProtobufBytes: ProtobufCodec {
    package static let wireType = ProtobufWireType.lengthDelimited
    package static let initial: [UInt8] = []

    package static func read(
        _ value: inout [UInt8], from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = try reader.readBytes()
    }

    package static func write(_ value: [UInt8], to writer: inout ProtobufWriter) {
        writer.writeBytes(value)
    }
}

/// An enumeration; numbers without a name are kept.
package enum ProtobufEnumeration<Value: ProtobufEnum>: ProtobufCodec {
    package static var wireType: ProtobufWireType { .varint }
    package static var initial: Value { Value(rawValue: 0) }

    package static func read(
        _ value: inout Value, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        value = Value(rawValue: Int32(truncatingIfNeeded: try reader.readVarint()))
    }

    package static func write(_ value: Value, to writer: inout ProtobufWriter) {
        writer.writeVarint(UInt64(bitPattern: Int64(value.rawValue)))
    }
}

/// A nested message.
package enum ProtobufNested<Value: ProtobufMessage>: ProtobufCodec {
    package static var wireType: ProtobufWireType { .lengthDelimited }
    package static var initial: Value { Value() }

    package static func read(
        _ value: inout Value, from reader: inout ProtobufReader
    ) throws(DecodingError) {
        try reader.readNested(&value)
    }

    package static func write(_ value: Value, to writer: inout ProtobufWriter) {
        writer.writeDelimited { value.write(to: &$0) }
    }
}
