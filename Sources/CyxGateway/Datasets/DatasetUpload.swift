internal import CyxCore
internal import CyxS3
internal import Synchronization

/// The file of a form that brings a data set, on its way. Fields may stand before and after it. It
/// throws before its end if any of them is wrong, so that whatever stores it commits nothing.
struct DatasetUpload: ByteSource {
    /// All fields together: a schema may name some thousand columns.
    static let fieldBytesMax = 48 << 10

    /// What is known once the body has ended.
    final class Outcome: Sendable {
        private let values = Mutex((fields: DatasetFields(), size: UInt64(0)))

        var fields: DatasetFields {
            get { values.withLock { $0.fields } }
            set { values.withLock { $0.fields = newValue } }
        }

        /// Of the file, in bytes.
        var size: UInt64 {
            get { values.withLock { $0.size } }
            set { values.withLock { $0.size = newValue } }
        }
    }

    private var source: any ByteSource
    private var reader: FormReader
    /// Of the file, and read already.
    private var ready: [UInt8]
    private var hasEnded = false
    private let fieldsBefore: Int
    let outcome = Outcome()
    private let check: @Sendable (DatasetFields) throws -> Void

    /// What the form says before its file of where that goes.
    let place: JSONBody
    let fileName: String

    /// Reads as far as the file. `check` may refuse what the form says.
    @inline(never)
    init(
        _ body: any ByteSource, boundary: String,
        check: @escaping @Sendable (DatasetFields) throws -> Void
    ) async throws {
        var (source, ready) = (body, [UInt8]())
        var reader = FormReader(
            boundary: boundary, fieldBytesMax: DatasetUpload.fieldBytesMax, takesLaterFields: true)
        while !reader.hasFile, !reader.hasEnded {
            guard let more = try await source.next() else {
                try reader.finish()
                break
            }
            ready += try reader.read(more)
        }
        guard reader.hasFile else {
            throw RESTError.invalid("The form has no part named `file`")
        }
        place = try DatasetUpload.place(reader, check)
        self.check = check
        fileName = String((reader.filename ?? "").suffix(DatasetFields.nameBytesMax / 4))
        fieldsBefore = reader.fields.count
        self.source = source
        self.reader = reader
        self.ready = ready
    }

    private static func place(
        _ reader: FormReader, _ check: (DatasetFields) throws -> Void
    ) throws -> JSONBody {
        let members = try DatasetFields.members(reader.fields)
        let place = members.filter { DatasetFields.placeNames.contains($0.key) }
        // Also so that what is wrong is found before the file is taken.
        try check(try fields(members.filter { !DatasetFields.placeNames.contains($0.key) }))
        return try JSONBody(place, allowing: DatasetFields.placeNames, of: "The form")
    }

    private static func fields(
        _ members: [String: JSONValue]
    ) throws(RESTError) -> DatasetFields {
        try DatasetFields(
            try JSONBody(members, allowing: DatasetFields.names, of: "The form"))
    }

    mutating func next() async throws -> [UInt8]? {
        while !hasEnded {
            if !ready.isEmpty {
                let bytes = ready
                ready = []
                outcome.size += UInt64(bytes.count)
                return bytes
            }
            guard let more = try await source.next() else {
                try finish()
                hasEnded = true
                return nil
            }
            ready = try reader.read(more)
        }
        return nil
    }

    private func finish() throws {
        try reader.finish()
        for field in reader.fields[fieldsBefore...]
        where DatasetFields.placeNames.contains(field.name) {
            throw RESTError.invalid("`\(field.name)` must stand before the file in the form")
        }
        let members = try DatasetFields.members(reader.fields)
        let fields = try DatasetUpload.fields(
            members.filter { !DatasetFields.placeNames.contains($0.key) })
        try check(fields)
        outcome.fields = fields
    }
}
