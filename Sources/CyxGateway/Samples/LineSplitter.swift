/// Cuts bytes into lines, of which each keeps its end. A machine that holds one line and one piece.
struct LineSplitter: Sendable {
    static let lineBytesMax = 1 << 20

    /// Whether a line end within quotes is none (RFC 4180).
    private let knowsQuotes: Bool
    private var bytes: [UInt8] = []
    private var start = 0
    private var scanned = 0
    private var isQuoted = false
    private var isBeginning = true
    /// How many lines were given, for errors.
    private(set) var count: UInt64 = 0

    init(knowsQuotes: Bool) { self.knowsQuotes = knowsQuotes }

    mutating func append(_ piece: [UInt8]) {
        bytes.removeFirst(start)
        scanned -= start
        start = 0
        bytes += piece
    }

    /// The next line; nil where more is needed. `isEnd`: nothing more will come.
    mutating func next(isEnd: Bool) throws(SampleFault) -> [UInt8]? {
        if isBeginning {
            guard bytes.count >= 3 || isEnd else { return nil }
            isBeginning = false
            // A mark of the byte order is none of the text's.
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { (start, scanned) = (3, 3) }
        }
        while scanned < bytes.count {
            let byte = bytes[scanned]
            scanned += 1
            if byte == 0x22, knowsQuotes { isQuoted.toggle() }
            if byte == 0x0A, !isQuoted { return try take() }
        }
        guard scanned - start <= LineSplitter.lineBytesMax else { throw tooLong }
        guard isEnd, scanned > start else { return nil }
        guard !isQuoted else {
            throw .malformed("A quote of line \(count + 1) is not closed")
        }
        return try take()
    }

    private mutating func take() throws(SampleFault) -> [UInt8] {
        guard scanned - start <= LineSplitter.lineBytesMax else { throw tooLong }
        let line = Array(bytes[start..<scanned])
        start = scanned
        count += 1
        return line
    }

    private var tooLong: SampleFault {
        .unfit(
            "Line \(count + 1) has more than \(LineSplitter.lineBytesMax) bytes"
                + (isQuoted ? ", or a quote that is not closed" : ""))
    }
}

/// One line of comma-separated values (RFC 4180).
enum CSVLine {
    static let fieldsMax = 65_536

    /// `line`: its number, for errors.
    static func fields(_ bytes: ArraySlice<UInt8>, line: UInt64) throws(SampleFault) -> [[UInt8]] {
        var fields: [[UInt8]] = []
        var field: [UInt8] = []
        var (isQuoted, wasQuoted) = (false, false)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if isQuoted {
                if byte != 0x22 {
                    field.append(byte)
                } else if index < bytes.endIndex, bytes[index] == 0x22 {
                    field.append(0x22)
                    index += 1
                } else {
                    (isQuoted, wasQuoted) = (false, true)
                }
            } else if byte == 0x2C {
                fields.append(field)
                guard fields.count < fieldsMax else {
                    throw .unfit("Line \(line) has more than \(fieldsMax) fields")
                }
                field = []
                wasQuoted = false
            } else if byte == 0x22, field.isEmpty, !wasQuoted {
                isQuoted = true
            } else {
                guard !wasQuoted else {
                    throw .malformed("In line \(line) something follows a closing quote")
                }
                field.append(byte)
            }
        }
        guard !isQuoted else { throw .malformed("A quote of line \(line) is not closed") }
        fields.append(field)
        return fields
    }
}
