/// Writes fields in the protobuf wire format, in two passes over the same calls.
///
/// The first pass only measures: it adds up the size and notes the length of every nested message,
/// packed field and map entry in the order in which they start. The second pass writes into a
/// buffer of exactly that size, taking each length from the notes. So `bytes` fields are copied
/// once, however deep they lie, and no length is computed twice.
package struct ProtobufWriter: Sendable {
    private let isMeasuring: Bool
    private var bytes: [UInt8] = []
    private var lengths: [Int] = []
    private var nextLength = 0

    /// Bytes measured, or written, so far.
    package private(set) var size = 0

    /// A writer that only measures.
    package init() {
        isMeasuring = true
    }

    /// The writer for the second pass, after `measure` saw the whole message.
    package init(measuredBy measure: ProtobufWriter) {
        precondition(measure.isMeasuring, "the first pass measures")
        isMeasuring = false
        lengths = measure.lengths
        bytes.reserveCapacity(measure.size)
    }

    /// The written bytes.
    package consuming func finish() -> [UInt8] {
        precondition(nextLength == lengths.count, "both passes must write the same")
        return bytes
    }

    // MARK: Fields

    /// Writes a field of implicit presence: nothing if the value is the default.
    package mutating func write<C: ProtobufCodec>(
        _ value: C.Value, field: Int, as codec: C.Type
    ) {
        guard !codec.isDefault(value) else { return }
        writePresent(value, field: field, as: codec)
    }

    /// Writes a field of explicit presence: nothing if there is no value.
    package mutating func writeOptional<C: ProtobufCodec>(
        _ value: C.Value?, field: Int, as codec: C.Type
    ) {
        guard let value else { return }
        writePresent(value, field: field, as: codec)
    }

    /// Writes a field even if its value is the default, as members of a oneof are.
    package mutating func writePresent<C: ProtobufCodec>(
        _ value: C.Value, field: Int, as codec: C.Type
    ) {
        writeTag(field: field, codec.wireType)
        codec.write(value, to: &self)
    }

    /// Writes all elements; numbers and enumerations go into one packed field.
    package mutating func writeRepeated<C: ProtobufCodec>(
        _ values: [C.Value], field: Int, as codec: C.Type
    ) {
        guard !values.isEmpty else { return }
        if codec.wireType == .lengthDelimited {
            for value in values { writePresent(value, field: field, as: codec) }
            return
        }
        writeTag(field: field, .lengthDelimited)
        writeDelimited { writer in
            for value in values { codec.write(value, to: &writer) }
        }
    }

    /// Writes a map as entries sorted by key; key and value are always both written.
    package mutating func writeMap<K: ProtobufMapKeyCodec, V: ProtobufCodec>(
        _ map: [K.Value: V.Value], field: Int, key: K.Type, value: V.Type
    ) {
        for (entryKey, entryValue) in map.sorted(by: { key.precedes($0.key, $1.key) }) {
            writeTag(field: field, .lengthDelimited)
            writeDelimited { writer in
                writer.writePresent(entryKey, field: 1, as: key)
                writer.writePresent(entryValue, field: 2, as: value)
            }
        }
    }

    /// Writes a nested message that need not be hashable or decodable.
    package mutating func writeMessage(_ message: some ProtobufEncodable, field: Int) {
        writeTag(field: field, .lengthDelimited)
        writeDelimited { message.write(to: &$0) }
    }

    // MARK: Pieces

    mutating func writeTag(field: Int, _ type: ProtobufWireType) {
        writeVarint(UInt64(field) << 3 | UInt64(type.rawValue))
    }

    /// Writes the length of what `body` writes, then that.
    mutating func writeDelimited(_ body: (inout ProtobufWriter) -> Void) {
        if isMeasuring {
            let index = lengths.count
            lengths.append(0)
            let start = size
            body(&self)
            lengths[index] = size - start
            size += Self.varintSize(UInt64(size - start))
        } else {
            writeVarint(UInt64(lengths[nextLength]))
            nextLength += 1
            body(&self)
        }
    }

    mutating func writeVarint(_ value: UInt64) {
        guard !isMeasuring else {
            size += Self.varintSize(value)
            return
        }
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
        size += Self.varintSize(value)
    }

    mutating func writeFixed(_ value: some FixedWidthInteger) {
        size += value.bitWidth / 8
        guard !isMeasuring else { return }
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func writeBytes(_ value: [UInt8]) {
        writeVarint(UInt64(value.count))
        size += value.count
        guard !isMeasuring else { return }
        bytes.append(contentsOf: value)
    }

    mutating func writeString(_ value: String) {
        let text = value.utf8
        writeVarint(UInt64(text.count))
        size += text.count
        guard !isMeasuring else { return }
        bytes.append(contentsOf: text)
    }

    private static func varintSize(_ value: UInt64) -> Int {
        (70 - (value | 1).leadingZeroBitCount) / 7
    }
}
