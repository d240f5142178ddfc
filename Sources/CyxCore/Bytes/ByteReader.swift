/// Why bytes from outside could not be read.
package enum DecodingError: Error, Equatable {
    /// `needed` bytes were asked for at `offset`, where only `available` were left.
    case truncated(offset: Int, needed: Int, available: Int)
    /// The value was complete, and `count` bytes followed it.
    case trailingBytes(count: Int)
    /// A length or a number is outside what `field` allows.
    case outOfRange(field: String)
    /// A tag, version or enumeration value that this version does not know.
    case unknown(field: String, value: UInt64)
}

/// A cursor over borrowed bytes; integers are big-endian.
///
/// Reading past the end throws and never traps, and no length from the input is trusted before it
/// is compared with what is left.
package struct ByteReader: ~Escapable {
    @usableFromInline let span: RawSpan
    package private(set) var offset = 0

    @_lifetime(copy span)
    package init(_ span: RawSpan) {
        self.span = span
    }

    package var remaining: Int { span.byteCount - offset }
    package var isAtEnd: Bool { remaining == 0 }

    @_lifetime(self: copy self)
    private mutating func advance(_ count: Int) throws(DecodingError) -> Int {
        guard count >= 0, count <= remaining else {
            throw .truncated(offset: offset, needed: count, available: remaining)
        }
        let start = offset
        offset += count
        return start
    }

    @_lifetime(self: copy self)
    package mutating func readUInt8() throws(DecodingError) -> UInt8 {
        let start = try advance(1)
        return span.unsafeLoad(fromByteOffset: start, as: UInt8.self)
    }

    @_lifetime(self: copy self)
    package mutating func readUInt16() throws(DecodingError) -> UInt16 {
        let start = try advance(2)
        return UInt16(bigEndian: span.unsafeLoadUnaligned(fromByteOffset: start, as: UInt16.self))
    }

    @_lifetime(self: copy self)
    package mutating func readUInt32() throws(DecodingError) -> UInt32 {
        let start = try advance(4)
        return UInt32(bigEndian: span.unsafeLoadUnaligned(fromByteOffset: start, as: UInt32.self))
    }

    @_lifetime(self: copy self)
    package mutating func readUInt64() throws(DecodingError) -> UInt64 {
        let start = try advance(8)
        return UInt64(bigEndian: span.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self))
    }

    @_lifetime(self: copy self)
    package mutating func readDigest() throws(DecodingError) -> Digest {
        Digest(try readUInt64(), try readUInt64(), try readUInt64(), try readUInt64())
    }

    /// Copies the next `count` bytes out.
    @_lifetime(self: copy self)
    package mutating func readBytes(_ count: Int) throws(DecodingError) -> [UInt8] {
        let start = try advance(count)
        return span.withUnsafeBytes { raw in
            [UInt8](UnsafeRawBufferPointer(rebasing: raw[start..<start + count]))
        }
    }

    @_lifetime(self: copy self)
    package mutating func skip(_ count: Int) throws(DecodingError) {
        _ = try advance(count)
    }

    /// Throws unless every byte was read.
    package func finish() throws(DecodingError) {
        guard isAtEnd else { throw .trailingBytes(count: remaining) }
    }
}
