internal import CyxS3

/// Takes a `multipart/form-data` body apart as it comes (RFC 7578, with the framing of RFC 2046
/// §5.1.1): the fields first, then the bytes of the part named `file`. What follows that part is
/// read over, as S3 does, or taken for further fields. A machine that holds no more than the fields
/// and one delimiter.
struct FormReader: Sendable {
    private enum State {
        /// Behind a delimiter: `--` ends the form, a line end begins a part.
        case delimiterEnd
        case headers
        case field(name: String)
        case file
        case skipped
        case done
    }

    /// All fields before the file, with their names and headers (S3's limit).
    static let maximumFieldBytes = 20 << 10
    static let maximumFields = 100
    /// RFC 2046 §5.1.1.
    static let maximumBoundaryBytes = 70

    private let delimiter: [UInt8]
    private let fieldBytesMax: Int
    private let takesLaterFields: Bool
    private var state = State.skipped
    /// What came and is not yet decided.
    private var pending: [UInt8]
    private var fieldBytes = 0

    /// Names in lower case, in the order in which they came.
    private(set) var fields: [(name: String, value: String)] = []
    /// Known once the file begins: what the browser called it.
    private(set) var filename: String?
    private(set) var hasFile = false
    var hasEnded: Bool { if case .done = state { true } else { false } }

    /// `takesLaterFields`: whether fields may follow the file.
    init(
        boundary: String, fieldBytesMax: Int = FormReader.maximumFieldBytes,
        takesLaterFields: Bool = false
    ) {
        delimiter = Array("\r\n--\(boundary)".utf8)
        self.fieldBytesMax = fieldBytesMax
        self.takesLaterFields = takesLaterFields
        // The first delimiter needs no line end before it.
        pending = [0x0D, 0x0A]
    }

    /// The boundary that a `Content-Type` names; nil if it is not one of a form.
    static func boundary(_ contentType: String?) -> String? {
        guard let contentType else { return nil }
        let parts = contentType.split(separator: ";").map { $0.trimmingSpaces() }
        guard parts.first?.lowercased() == "multipart/form-data" else { return nil }
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].trimmingSpaces().lowercased() == "boundary" else {
                continue
            }
            let value = S3Headers.unquoted(String(pair[1].trimmingSpaces()))
            let isLegal = (1...maximumBoundaryBytes).contains(value.utf8.count)
            return isLegal ? value : nil
        }
        return nil
    }

    /// Takes the next bytes of the body and returns those of the file among them.
    mutating func read(_ input: [UInt8]) throws(S3Error) -> [UInt8] {
        pending += input
        var output: [UInt8] = []
        while try step(&output) {}
        return output
    }

    /// Call when the body has ended.
    func finish() throws(S3Error) {
        guard case .done = state else {
            throw S3Error(
                "IncompleteBody", 400, "The form ended before its last boundary; nothing was stored"
            )
        }
    }

    /// Goes on as far as one part of the form; false when more input is needed.
    private mutating func step(_ output: inout [UInt8]) throws(S3Error) -> Bool {
        switch state {
        case .done:
            pending.removeAll(keepingCapacity: true)
            return false
        case .delimiterEnd: return try endDelimiter()
        case .headers: return try readHeaders()
        case .field(let name):
            guard let value = try takeField() else { return false }
            guard let text = String(validating: value, as: UTF8.self) else {
                throw malformed("a field is not UTF-8")
            }
            fields.append((name, text))
            guard fields.count <= FormReader.maximumFields else { throw FormReader.tooLong }
            return true
        case .file:
            let isWhole = takeContent(into: &output)
            return isWhole
        case .skipped:
            var ignored: [UInt8] = []
            return takeContent(into: &ignored)
        }
    }

    /// Moves content up to the next delimiter, or to where one may begin. True at a delimiter.
    private mutating func takeContent(into output: inout [UInt8]) -> Bool {
        if let index = firstDelimiter() {
            output += pending[..<index]
            pending.removeFirst(index + delimiter.count)
            state = .delimiterEnd
            return true
        }
        let decided = max(0, pending.count - delimiter.count + 1)
        output += pending[..<decided]
        pending.removeFirst(decided)
        return false
    }

    private mutating func takeField() throws(S3Error) -> [UInt8]? {
        guard let index = firstDelimiter() else {
            try count(0, pending.count)
            return nil
        }
        let value = Array(pending[..<index])
        try count(value.count, 0)
        pending.removeFirst(index + delimiter.count)
        state = .delimiterEnd
        return value
    }

    /// `taken` bytes are read for good, `waiting` ones are not yet.
    private mutating func count(_ taken: Int, _ waiting: Int) throws(S3Error) {
        fieldBytes += taken
        guard fieldBytes + waiting <= fieldBytesMax + delimiter.count else {
            throw FormReader.tooLong
        }
    }

    private func firstDelimiter() -> Int? {
        guard pending.count >= delimiter.count else { return nil }
        return pending.withUnsafeBufferPointer { bytes in
            var index = 0
            let last = bytes.count - delimiter.count
            while index <= last {
                if bytes[index] == 0x0D,
                    bytes[index..<index + delimiter.count].elementsEqual(delimiter)
                {
                    return index
                }
                index += 1
            }
            return nil
        }
    }

    private mutating func endDelimiter() throws(S3Error) -> Bool {
        guard pending.count >= 2 else { return false }
        if pending.starts(with: [0x2D, 0x2D]) {
            state = .done
            return true
        }
        // Some programs pad the line with spaces.
        guard let end = pending.firstIndex(of: 0x0A) else {
            guard pending.count <= FormReader.maximumBoundaryBytes else {
                throw malformed("a boundary's line does not end")
            }
            return false
        }
        guard end > 0, pending[end - 1] == 0x0D,
            pending[..<(end - 1)].allSatisfy({ $0 == 0x20 || $0 == 0x09 })
        else { throw malformed("a boundary is followed by something") }
        pending.removeFirst(end + 1)
        state = hasFile && !takesLaterFields ? .skipped : .headers
        return true
    }

    private mutating func readHeaders() throws(S3Error) -> Bool {
        let end: Int
        if pending.starts(with: [0x0D, 0x0A]) {
            throw malformed("a part has no name")
        } else if let found = headersEnd() {
            end = found
        } else {
            try count(0, pending.count)
            return false
        }
        let lines = String(decoding: pending[..<end], as: UTF8.self)
            .split(whereSeparator: \.isNewline)
        try count(end + 4, 0)
        pending.removeFirst(end + 4)
        var (name, filename): (String?, String?)
        for line in lines {
            let pair = line.split(separator: ":", maxSplits: 1)
            guard pair.count == 2,
                pair[0].trimmingSpaces().lowercased() == "content-disposition"
            else { continue }
            let parameters = FormReader.parameters(String(pair[1]))
            name = parameters["name"]
            filename = parameters["filename"]
        }
        guard let name else { throw malformed("a part has no name") }
        if name.lowercased() == "file" {
            guard !hasFile else { throw malformed("there are two files") }
            hasFile = true
            self.filename = filename
            state = .file
        } else {
            state = .field(name: name.lowercased())
        }
        return true
    }

    private func headersEnd() -> Int? {
        let mark: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard pending.count >= mark.count else { return nil }
        return (0...(pending.count - mark.count)).first {
            pending[$0..<$0 + mark.count].elementsEqual(mark)
        }
    }

    /// Parameters of a `Content-Disposition`; a backslash in quotes takes the next character as it is.
    private static func parameters(_ text: String) -> [String: String] {
        var found: [String: String] = [:]
        var (name, value, isName, isQuoted, isEscaped) = ("", "", true, false, false)
        func trimmed(_ text: String) -> String { String(Substring(text).trimmingSpaces()) }
        for character in text + ";" {
            if isEscaped {
                // Browsers escape quotes only; a path with backslashes comes as it is.
                if character != "\"" { value.append("\\") }
                value.append(character)
                isEscaped = false
            } else if isQuoted {
                if character == "\\" {
                    isEscaped = true
                } else if character == "\"" {
                    isQuoted = false
                } else {
                    value.append(character)
                }
            } else if character == ";" {
                if !isName { found[trimmed(name).lowercased()] = trimmed(value) }
                (name, value, isName) = ("", "", true)
            } else if isName {
                if character == "=" { isName = false } else { name.append(character) }
            } else if character == "\"" {
                isQuoted = true
            } else {
                value.append(character)
            }
        }
        return found
    }

    private static let tooLong = S3Error(
        "MaxPostPreDataLengthExceeded", 400,
        "Your POST request fields preceding the upload file were too large.")

    private func malformed(_ reason: String) -> S3Error {
        S3Error(
            "MalformedPOSTRequest", 400,
            "The body of your POST request is not well-formed multipart/form-data: \(reason)")
    }
}
