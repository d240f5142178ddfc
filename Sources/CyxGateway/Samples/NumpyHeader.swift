internal import CyxCore

/// The head of a `.npy` file, versions 1 to 3 of the format ("numpy.lib.format" of NumPy's reference):
/// which arrays can be cut into rows along their first axis, and where each begins.
struct NumpyHeader: Equatable, Sendable {
    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// The longest that version 1 can have; later ones may be longer, and no array here needs that.
    static let bytesMax = 12 + (64 << 10)
    static let axesMax = 32
    private static let alignment = 64

    /// Such as `<f4`: as the file has it.
    var type: String
    var itemBytes: UInt64
    /// The first is that of the samples.
    var shape: [UInt64]
    /// Where the items begin.
    var dataOffset: UInt64
    /// Items of a sample, in bytes.
    var rowBytes: UInt64

    var rows: UInt64 { shape[0] }
    var dataBytes: UInt64 { rows * rowBytes }

    // MARK: Reading

    /// `bytes`: the beginning of the file, at least as far as the head goes.
    init(parsing bytes: [UInt8]) throws(SampleFault) {
        guard bytes.count >= 10, bytes.starts(with: NumpyHeader.magic) else {
            throw .malformed("The object does not begin as a .npy file does")
        }
        let (start, length): (Int, Int)
        switch bytes[6] {
        case 1: (start, length) = (10, Int(bytes[8]) | Int(bytes[9]) << 8)
        case 2, 3:
            guard bytes.count >= 12 else { throw NumpyHeader.cut }
            (start, length) = (12, (8..<12).reduce(0) { $0 | Int(bytes[$1]) << (8 * ($1 - 8)) })
        default: throw .malformed("The .npy file has version \(bytes[6]), which is not known")
        }
        guard start + length <= NumpyHeader.bytesMax else {
            throw .malformed("The head of the .npy file has more than 64 KiB")
        }
        guard bytes.count >= start + length else { throw NumpyHeader.cut }
        var reader = PythonLiteral(Array(bytes[start..<start + length]))
        guard let (type, isFortran, shape) = reader.header() else {
            throw .malformed("The head of the .npy file is none of an array of plain items")
        }
        try self.init(type: type, shape: shape, dataOffset: UInt64(start + length))
        guard !isFortran || shape.count == 1 else {
            throw .unfit(
                "The array is stored column by column (Fortran order): its rows lie apart",
                "store it with numpy.ascontiguousarray")
        }
    }

    private static let cut = SampleFault.malformed("The .npy file ends within its head")

    init(type: String, shape: [UInt64], dataOffset: UInt64 = 0) throws(SampleFault) {
        guard let itemBytes = NumpyHeader.itemBytes(of: type) else {
            throw .unfit("Items of the type `\(type.prefix(40))` are none of fixed size")
        }
        guard !shape.isEmpty else { throw .unfit("The array has no axis to cut it along") }
        guard shape.count <= NumpyHeader.axesMax else {
            throw .unfit("The array has more than \(NumpyHeader.axesMax) axes")
        }
        var rowBytes = itemBytes
        for count in shape.dropFirst() {
            let (product, isOver) = rowBytes.multipliedReportingOverflow(by: count)
            guard !isOver else { throw NumpyHeader.tooLarge }
            rowBytes = product
        }
        guard rowBytes > 0 else { throw .unfit("The rows of the array hold nothing") }
        let (product, isOver) = rowBytes.multipliedReportingOverflow(by: shape[0])
        guard !isOver, product <= UInt64(Int64.max) - dataOffset else {
            throw NumpyHeader.tooLarge
        }
        self.type = type
        self.itemBytes = itemBytes
        self.shape = shape
        self.dataOffset = dataOffset
        self.rowBytes = rowBytes
    }

    private static let tooLarge = SampleFault.malformed("The shape of the array is too large")

    /// Of a simple type's items; nil for any other.
    static func itemBytes(of type: String) -> UInt64? {
        let bytes = Array(type.utf8)
        guard bytes.count >= 3, bytes.count <= 32, [0x3C, 0x3E, 0x7C].contains(bytes[0])
        else { return nil }
        let kind = UnicodeScalar(bytes[1])
        let digits = bytes[2...].prefix { (0x30...0x39).contains($0) }
        guard (1...7).contains(digits.count),
            let count = UInt64(String(decoding: digits, as: UTF8.self)), count > 0
        else { return nil }
        let rest = bytes.dropFirst(2 + digits.count)
        let allowed: Set<UInt64>
        switch kind {
        case "b": allowed = [1]
        case "i", "u": allowed = [1, 2, 4, 8]
        case "f": allowed = [2, 4, 8, 16]
        case "c": allowed = [8, 16, 32]
        case "S", "V": return rest.isEmpty ? count : nil
        case "U": return rest.isEmpty ? count * 4 : nil
        case "M", "m":
            // A unit in brackets follows, of letters and digits.
            let isUnit =
                rest.first == 0x5B && rest.last == 0x5D && rest.count > 2
                && rest.dropFirst().dropLast().allSatisfy {
                    (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
                }
            return count == 8 && (rest.isEmpty || isUnit) ? 8 : nil
        default: return nil
        }
        return rest.isEmpty && allowed.contains(count) ? count : nil
    }

    // MARK: Writing

    /// The head of a file with `rows` of these rows, version 1.0.
    func encoded(rows: UInt64) -> [UInt8] {
        let axes = ([rows] + shape.dropFirst()).map(String.init).joined(separator: ", ")
        let tuple = shape.count == 1 ? "(\(axes),)" : "(\(axes))"
        var text = Array("{'descr': '\(type)', 'fortran_order': False, 'shape': \(tuple), }".utf8)
        let whole = NumpyHeader.alignment
        let padding = (whole - (10 + text.count + 1) % whole) % whole
        text += [UInt8](repeating: 0x20, count: padding) + [0x0A]
        return NumpyHeader.magic + [1, 0, UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + text
    }
}

/// As much of Python's literals as heads of arrays have.
private struct PythonLiteral {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { offset += 1 }
    }

    private mutating func take(_ word: String) -> Bool {
        skipSpace()
        guard bytes[offset...].starts(with: word.utf8) else { return false }
        offset += word.utf8.count
        return true
    }

    /// A dictionary of exactly these three, each once.
    mutating func header() -> (type: String, isFortran: Bool, shape: [UInt64])? {
        var (type, isFortran, shape): (String?, Bool?, [UInt64]?)
        guard take("{") else { return nil }
        while !take("}") {
            guard let name = text(), take(":") else { return nil }
            switch name {
            case "descr" where type == nil:
                guard let value = text() else { return nil }
                type = value
            case "fortran_order" where isFortran == nil:
                isFortran = take("True") ? true : take("False") ? false : nil
                guard isFortran != nil else { return nil }
            case "shape" where shape == nil:
                guard let value = tuple() else { return nil }
                shape = value
            default: return nil
            }
            guard take(",") || bytes[offset...].first == 0x7D else { return nil }
        }
        skipSpace()
        guard next == nil, let type, let isFortran, let shape else { return nil }
        return (type, isFortran, shape)
    }

    /// Without escapes: no name or type needs any.
    private mutating func text() -> String? {
        skipSpace()
        guard let quote = next, quote == 0x27 || quote == 0x22 else { return nil }
        let rest = bytes[(offset + 1)...]
        guard let end = rest.firstIndex(of: quote),
            bytes[(offset + 1)..<end].allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x5C })
        else { return nil }
        defer { offset = end + 1 }
        return String(decoding: bytes[(offset + 1)..<end], as: UTF8.self)
    }

    private mutating func tuple() -> [UInt64]? {
        guard take("(") else { return nil }
        var values: [UInt64] = []
        while !take(")") {
            skipSpace()
            let digits = bytes[offset...].prefix { (0x30...0x39).contains($0) }
            guard !digits.isEmpty, digits.count <= 19,
                let value = UInt64(String(decoding: digits, as: UTF8.self)),
                values.count <= NumpyHeader.axesMax
            else { return nil }
            offset += digits.count
            values.append(value)
            guard take(",") else { return take(")") && values.count > 1 ? values : nil }
        }
        return values
    }
}
