internal import CyxCore
internal import CyxS3

/// What a request says of a data set: in a JSON body, or in the fields of a form. What it leaves out
/// stays as it is, and an empty text takes away what was said.
struct DatasetFields: Equatable, Sendable {
    static let nameBytesMax = 256
    static let textBytesMax = 4096
    static let formatBytesMax = 32
    static let featuresMax = 4096
    static let priceMax: Int64 = 1 << 53

    /// Of what can be changed.
    static let names: Set<String> = [
        "name", "description", "format", "schema", "price", "license", "access",
    ]
    /// Where its bytes are, or go; and how many there are, if that is known.
    static let placeNames: Set<String> = ["bucket", "key", "size"]

    var name: String?
    var text: String?
    var format: String?
    var features: [String]?
    var label: String?
    var price: Int64?
    var license: String?
    var access: JSONBody?

    init() {}

    @inline(never)
    init(_ body: JSONBody) throws(RESTError) {
        name = try DatasetFields.text("name", body, DatasetFields.nameBytesMax)
        text = try DatasetFields.text("description", body, DatasetFields.textBytesMax)
        license = try DatasetFields.text("license", body, DatasetFields.nameBytesMax)
        price = try body.integer("price", in: 0...DatasetFields.priceMax)
        if name?.isEmpty == true { throw .invalid("A data set needs a `name`") }
        if let format = try body.text("format") {
            guard DatasetFields.isFormat(format) else {
                throw .invalid("`format` is no word such as csv, jsonl, npy or raw")
            }
            self.format = format
        }
        if let schema = try body.object("schema", allowing: ["features", "label"]) {
            features = try schema.texts("features")
            label = try DatasetFields.text("label", schema, DatasetFields.nameBytesMax)
            if let features {
                let isShort = features.allSatisfy { $0.utf8.count <= DatasetFields.nameBytesMax }
                guard features.count <= DatasetFields.featuresMax, isShort else {
                    throw .invalid("`features` has at most 4096 names of 256 bytes")
                }
            }
        }
        access = try body.object("access", allowing: DatasetAccess.names)
        // So that what is wrong is found before anything is stored.
        if let access { _ = try DatasetAccess(access, from: DatasetAccess()) }
    }

    private static func text(
        _ name: String, _ body: JSONBody, _ limit: Int
    ) throws(RESTError) -> String? {
        guard let text = try body.text(name) else { return nil }
        guard text.utf8.count <= limit, !text.unicodeScalars.contains(where: { $0.value == 0 })
        else { throw .invalid("`\(name)` has more than \(limit) bytes, or a zero one") }
        return text
    }

    static func isFormat(_ text: String) -> Bool {
        (1...formatBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// The fields of a form as the members of a body: those that are no text are JSON.
    @inline(never)
    static func members(
        _ fields: [(name: String, value: String)]
    ) throws(RESTError) -> [String: JSONValue] {
        var members: [String: JSONValue] = [:]
        for (name, value) in fields {
            var json = JSONValue.string(value)
            if ["schema", "access", "price", "size"].contains(name) {
                do throws(JSONError) { json = try JSONValue(parsing: Array(value.utf8)) } catch {
                    throw .invalid("`\(name)` stops being JSON at byte \(error.offset)")
                }
            }
            guard members.updateValue(json, forKey: name) == nil else {
                throw .invalid("The form has `\(name)` twice")
            }
        }
        return members
    }

    func apply(to dataset: inout Dataset) throws(RESTError) {
        dataset.name = name ?? dataset.name
        dataset.text = text ?? dataset.text
        dataset.format = format ?? dataset.format
        dataset.features = features ?? dataset.features
        if let label { dataset.label = label.isEmpty ? nil : label }
        dataset.price = price ?? dataset.price
        dataset.license = license ?? dataset.license
        if let access { dataset.access = try DatasetAccess(access, from: dataset.access) }
        guard dataset.encoded.count <= Dataset.encodedBytesMax else {
            throw .invalid(
                "What is said of the data set comes to more than \(Dataset.encodedBytesMax) bytes")
        }
    }

    /// What the name of a file says of its format.
    static func format(ofFile name: String) -> String {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "raw" }
        let ending = String(decoding: name.utf8[name.utf8.index(after: dot)...], as: UTF8.self)
            .lowercased()
        return isFormat(ending) ? ending : "raw"
    }

    static let otherType = "application/octet-stream"

    static func contentType(of format: String) -> String {
        switch format {
        case "csv": "text/csv"
        case "jsonl", "ndjson": "application/x-ndjson"
        case "json": "application/json"
        case "txt": "text/plain"
        default: otherType
        }
    }
}
