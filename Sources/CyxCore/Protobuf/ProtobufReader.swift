/// A cursor over the fields of one protobuf message and those nested in it.
///
/// It never traps on input: lengths are compared with what is left before anything is allocated,
/// nesting is bounded, and so is the memory that many tiny elements may grow into.
package struct ProtobufReader: ~Escapable {
    /// How deep messages may nest.
    package static let maximumDepth = 32
    /// Memory that repeated elements and map entries may take: this, and …
    package static let elementBytesFloor = 1 << 20
    /// … this much per byte of input; two bytes of input can stand for one whole empty element.
    package static let elementBytesPerInputByte = 64
    /// The greatest field number of the format.
    private static let maximumFieldNumber: UInt64 = 1 << 29 - 1

    private let span: RawSpan
    private var offset = 0
    private var end: Int
    private var depth = 0
    private var elementBytesLeft: Int
    private var wireType = ProtobufWireType.varint

    @_lifetime(copy span)
    package init(_ span: RawSpan) {
        self.span = span
        end = span.byteCount
        elementBytesLeft =
            Self.elementBytesFloor + Self.elementBytesPerInputByte * span.byteCount
    }

    /// The next field's number, or nil at the end of the message.
    ///
    /// The caller reads that field or skips it before it asks again.
    @_lifetime(self: copy self)
    package mutating func nextField() throws(DecodingError) -> Int? {
        guard offset < end else { return nil }
        let tag = try readVarint()
        let number = tag >> 3
        guard number >= 1, number <= Self.maximumFieldNumber else {
            throw .outOfRange(field: "protobuf field number")
        }
        guard let type = ProtobufWireType(rawValue: UInt8(tag & 7)) else {
            throw .unknown(field: "protobuf wire type", value: tag & 7)
        }
        wireType = type
        return Int(number)
    }

    /// Passes over the field that `nextField` announced.
    @_lifetime(self: copy self)
    package mutating func skip() throws(DecodingError) {
        switch wireType {
        case .varint: _ = try readVarint()
        case .fixed32: _ = try advance(4)
        case .fixed64: _ = try advance(8)
        case .lengthDelimited: _ = try advance(readLength())
        }
    }

    // MARK: Fields

    /// Reads a singular field; one of another wire type counts as unknown and is skipped.
    @_lifetime(self: copy self)
    package mutating func read<C: ProtobufCodec>(
        _ value: inout C.Value, as codec: C.Type
    ) throws(DecodingError) {
        guard wireType == codec.wireType else { return try skip() }
        try codec.read(&value, from: &self)
    }

    /// Reads a field of explicit presence.
    @_lifetime(self: copy self)
    package mutating func readOptional<C: ProtobufCodec>(
        _ value: inout C.Value?, as codec: C.Type
    ) throws(DecodingError) {
        guard wireType == codec.wireType else { return try skip() }
        var next = value ?? codec.initial
        value = nil
        try codec.read(&next, from: &self)
        value = next
    }

    /// Reads a member of a oneof, merging into `current` if that member is set already; nil if the
    /// field was skipped.
    @_lifetime(self: copy self)
    package mutating func readMember<C: ProtobufCodec>(
        _ current: C.Value?, as codec: C.Type
    ) throws(DecodingError) -> C.Value? {
        guard wireType == codec.wireType else {
            try skip()
            return nil
        }
        var next = current ?? codec.initial
        try codec.read(&next, from: &self)
        return next
    }

    /// Reads one more element, or, for numbers and enumerations, a packed run of them.
    @_lifetime(self: copy self)
    package mutating func readRepeated<C: ProtobufCodec>(
        _ values: inout [C.Value], as codec: C.Type
    ) throws(DecodingError) {
        if wireType == codec.wireType {
            try takeElement(of: C.Value.self)
            var next = codec.initial
            try codec.read(&next, from: &self)
            values.append(next)
        } else if wireType == .lengthDelimited {
            let outer = try enter(readLength())
            while offset < end {
                try takeElement(of: C.Value.self)
                var next = codec.initial
                try codec.read(&next, from: &self)
                values.append(next)
            }
            end = outer
        } else {
            try skip()
        }
    }

    /// Reads one map entry; a later entry of the same key replaces an earlier one.
    @_lifetime(self: copy self)
    package mutating func readMap<K: ProtobufMapKeyCodec, V: ProtobufCodec>(
        _ map: inout [K.Value: V.Value], key: K.Type, value: V.Type
    ) throws(DecodingError) {
        guard wireType == .lengthDelimited else { return try skip() }
        try takeElement(of: (K.Value, V.Value).self)
        var entryKey = key.initial
        var entryValue = value.initial
        let outer = try enter(readLength())
        while let number = try nextField() {
            switch number {
            case 1: try read(&entryKey, as: key)
            case 2: try read(&entryValue, as: value)
            default: try skip()
            }
        }
        end = outer
        map[entryKey] = entryValue
    }

    /// Merges a message that need not be hashable or encodable into `message`.
    @_lifetime(self: copy self)
    package mutating func readMessage<M: ProtobufDecodable>(
        _ message: inout M
    ) throws(DecodingError) {
        guard wireType == .lengthDelimited else { return try skip() }
        try readNested(&message)
    }

    /// Reads one more such message.
    @_lifetime(self: copy self)
    package mutating func readMessages<M: ProtobufDecodable>(
        _ messages: inout [M]
    ) throws(DecodingError) {
        guard wireType == .lengthDelimited else { return try skip() }
        try takeElement(of: M.self)
        var next = M()
        try readNested(&next)
        messages.append(next)
    }

    // MARK: Pieces

    @_lifetime(self: copy self)
    mutating func readNested<M: ProtobufDecodable>(_ message: inout M) throws(DecodingError) {
        guard depth < Self.maximumDepth else { throw .outOfRange(field: "protobuf nesting") }
        let outer = try enter(readLength())
        depth += 1
        try message.merge(from: &self)
        depth -= 1
        end = outer
    }

    @_lifetime(self: copy self)
    mutating func readVarint() throws(DecodingError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let start = try advance(1)
            let byte = span.unsafeLoad(fromByteOffset: start, as: UInt8.self)
            guard shift < 63 || byte <= 1 else { throw .outOfRange(field: "protobuf varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    @_lifetime(self: copy self)
    mutating func readFixed<T: FixedWidthInteger & BitwiseCopyable>(
        as type: T.Type
    ) throws(DecodingError) -> T {
        let start = try advance(MemoryLayout<T>.size)
        return T(littleEndian: span.unsafeLoadUnaligned(fromByteOffset: start, as: type))
    }

    @_lifetime(self: copy self)
    mutating func readBytes() throws(DecodingError) -> [UInt8] {
        let count = try readLength()
        let start = try advance(count)
        return span.withUnsafeBytes { raw in
            [UInt8](UnsafeRawBufferPointer(rebasing: raw[start..<start + count]))
        }
    }

    @_lifetime(self: copy self)
    mutating func readString() throws(DecodingError) -> String {
        let count = try readLength()
        let start = try advance(count)
        let text = span.withUnsafeBytes { raw in
            String(
                validating: UnsafeRawBufferPointer(rebasing: raw[start..<start + count]),
                as: UTF8.self)
        }
        guard let text else { throw .outOfRange(field: "protobuf UTF-8") }
        return text
    }

    /// A length that is known to be left.
    @_lifetime(self: copy self)
    private mutating func readLength() throws(DecodingError) -> Int {
        let length = try readVarint()
        guard length <= UInt64(end - offset) else {
            throw .truncated(
                offset: offset, needed: Int(clamping: length), available: end - offset)
        }
        return Int(length)
    }

    /// Narrows the end to the next `length` bytes and returns the end to restore.
    @_lifetime(self: copy self)
    private mutating func enter(_ length: Int) -> Int {
        defer { end = offset + length }
        return end
    }

    @_lifetime(self: copy self)
    private mutating func advance(_ count: Int) throws(DecodingError) -> Int {
        guard count <= end - offset else {
            throw .truncated(offset: offset, needed: count, available: end - offset)
        }
        defer { offset += count }
        return offset
    }

    @_lifetime(self: copy self)
    private mutating func takeElement<T>(of type: T.Type) throws(DecodingError) {
        elementBytesLeft -= MemoryLayout<T>.stride
        guard elementBytesLeft >= 0 else { throw .outOfRange(field: "protobuf element count") }
    }
}
