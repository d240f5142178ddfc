internal import CyxCore

/// Makes batches of the samples of a text, one a line. A machine: `take` for each piece of the text,
/// then `finish`; each adds the batches that are whole, also where it throws. What it holds is bounded by `batchBytesMax`, twice with `dropsLast`.
struct SampleBatcher: Sendable {
    static let batchBytesMax = 8 << 20

    enum Text: Sendable { case jsonLines, csv }

    enum Output: Sendable {
        /// The lines as they are, without the one that names the columns.
        case lines
        /// One JSON object a batch.
        case jsonLines
        /// One array of numbers a batch (`<f8`), a column of the text each.
        case numpy
    }

    private let text: Text
    private let output: Output
    private let slice: SampleSlice
    private var splitter: LineSplitter
    private var columns: [String]?
    /// Samples seen, those before the slice included.
    private var seen: UInt64 = 0
    private var current: [UInt8] = []
    private var currentCount: UInt64 = 0
    /// A whole batch of which it is not known whether another follows.
    private var full: [UInt8]?
    private var batchIndex: UInt64 = 0

    init(_ text: Text, as output: Output, _ slice: SampleSlice) throws(SampleFault) {
        guard text == .csv || output != .numpy else {
            throw .unfit("Lines of JSON are no array", "ask for format=jsonl or raw")
        }
        self.text = text
        self.output = output
        self.slice = slice
        splitter = LineSplitter(knowsQuotes: text == .csv)
    }

    /// Whether no further piece can change what comes out.
    var isDone: Bool { slice.end.map { seen >= $0 } ?? false }

    mutating func take(
        _ piece: [UInt8], into batches: inout [[UInt8]]
    ) throws(SampleFault) {
        splitter.append(piece)
        try drain(into: &batches, isEnd: false)
    }

    mutating func finish(into batches: inout [[UInt8]]) throws(SampleFault) {
        try drain(into: &batches, isEnd: true)
        if currentCount > 0, !slice.dropsLast || currentCount == slice.batch {
            if let full { batches.append(try closed(full, slice.batch, isLast: false)) }
            batches.append(try closed(current, currentCount, isLast: true))
        } else if let full {
            batches.append(try closed(full, slice.batch, isLast: true))
        }
        (full, current, currentCount) = (nil, [], 0)
    }

    private mutating func drain(
        into batches: inout [[UInt8]], isEnd: Bool
    ) throws(SampleFault) {
        while !isDone, let line = try splitter.next(isEnd: isEnd) {
            var content = line[...]
            if content.last == 0x0A { content.removeLast() }
            if content.last == 0x0D { content.removeLast() }
            guard content.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            if text == .csv, columns == nil {
                columns = try names(content)
                continue
            }
            seen += 1
            guard seen > slice.offset else { continue }
            if currentCount == slice.batch {
                if let full { batches.append(try closed(full, slice.batch, isLast: false)) }
                full = current
                (current, currentCount) = ([], 0)
                if !slice.dropsLast, let whole = full {
                    batches.append(try closed(whole, slice.batch, isLast: false))
                    full = nil
                }
            }
            try add(content)
        }
    }

    private func names(_ line: ArraySlice<UInt8>) throws(SampleFault) -> [String] {
        var names: [String] = []
        for field in try CSVLine.fields(line, line: splitter.count) {
            names.append(try utf8(field))
        }
        guard Set(names).count == names.count || output != .jsonLines else {
            throw .malformed("Two columns have the same name")
        }
        return names
    }

    private func utf8(_ field: [UInt8]) throws(SampleFault) -> String {
        guard let text = String(validating: field, as: UTF8.self) else {
            throw .malformed("Line \(splitter.count) is not UTF-8")
        }
        return text
    }

    // MARK: One sample

    private mutating func add(_ line: ArraySlice<UInt8>) throws(SampleFault) {
        switch (text, output) {
        case (_, .lines): current += line + [0x0A]
        case (.jsonLines, _):
            do throws(JSONError) { _ = try JSONValue(parsing: Array(line)) } catch {
                throw .malformed(
                    "Line \(splitter.count) stops being JSON at byte \(error.offset)")
            }
            if currentCount > 0 { current.append(0x2C) }
            current += line
        case (.csv, .jsonLines):
            let fields = try fields(line)
            if currentCount > 0 { current.append(0x2C) }
            var members: [(key: String, value: JSONValue)] = []
            for (name, field) in zip(columns ?? [], fields) {
                members.append((name, .string(try utf8(field))))
            }
            current += JSONValue.object(members).encoded.utf8
        case (.csv, .numpy):
            for field in try fields(line) { try addNumber(field) }
        }
        currentCount += 1
        guard current.count <= SampleBatcher.batchBytesMax else {
            throw .unfit(
                "A batch has more than \(SampleBatcher.batchBytesMax) bytes",
                "ask for a smaller batch_size")
        }
    }

    private func fields(_ line: ArraySlice<UInt8>) throws(SampleFault) -> [[UInt8]] {
        let fields = try CSVLine.fields(line, line: splitter.count)
        let count = columns?.count ?? 0
        guard fields.count == count else {
            throw .malformed(
                "Line \(splitter.count) has \(fields.count) fields, and the first has \(count)")
        }
        return fields
    }

    /// What is missing is no number, as NumPy reads it too.
    private mutating func addNumber(_ field: [UInt8]) throws(SampleFault) {
        let text = Substring(try utf8(field)).trimmingSpaces()
        var number = Double.nan
        if !text.isEmpty {
            guard let value = Double(text) else {
                throw .malformed(
                    "`\(text.prefix(40))` in line \(splitter.count) is no number, and an array has "
                        + "nothing else")
            }
            number = value
        }
        withUnsafeBytes(of: number.bitPattern.littleEndian) { current += $0 }
    }

    // MARK: One batch

    private mutating func closed(
        _ items: [UInt8], _ count: UInt64, isLast: Bool
    ) throws(SampleFault) -> [UInt8] {
        defer { batchIndex += 1 }
        switch output {
        case .lines: return items
        case .jsonLines:
            return Array("{\"batch_index\":\(batchIndex),\"items\":[".utf8) + items
                + Array("],\"is_last\":\(isLast)}\n".utf8)
        case .numpy:
            let width = UInt64(columns?.count ?? 0)
            return try NumpyHeader(type: "<f8", shape: [count, width]).encoded(rows: count) + items
        }
    }
}

/// Which samples are wanted, and in what batches.
struct SampleSlice: Equatable, Sendable {
    var batch: UInt64
    var offset: UInt64 = 0
    /// Nil: all of them.
    var limit: UInt64?
    /// Whether a last batch that is not whole is left out (CF-10).
    var dropsLast = false

    /// Behind the last sample that is wanted.
    var end: UInt64? {
        limit.map { offset.addingReportingOverflow($0).overflow ? .max : offset + $0 }
    }

    /// The samples among `count` of which the batches consist.
    func samples(of count: UInt64) -> Range<UInt64> {
        let start = min(offset, count)
        let end = min(end ?? count, count)
        return start..<(dropsLast ? end - (end - start) % batch : end)
    }
}
