internal import CyxCore
internal import CyxCrypto

/// What is said of a data set: an object in a bucket of its account's that is found by its CID.
///
/// It is kept as an attribute of an empty object in a bucket of its own (`DatasetCatalog`), so that
/// listings tell it without further reads.
struct Dataset: Equatable, Sendable {
    /// As it is kept.
    static let encodedBytesMax = 48 << 10

    var cid: String
    // Where the bytes are.
    var bucket: String
    var key: String
    /// Nil where the bucket keeps none: then another write of the key ends the data set.
    var version: String?
    var size: UInt64
    var chunks: UInt64
    var created: WallTime

    // What its owner says of it.
    var name: String
    var text = ""
    /// Such as `csv`: how samples are told apart goes by it.
    var format: String
    var features: [String] = []
    var label: String?
    /// In the smallest unit of CYXWIZ. Nothing sells data sets yet: it keeps nobody from reading.
    var price: Int64 = 0
    var license = ""
    var access = DatasetAccess()

    init(
        cid: String, bucket: String, key: String, version: String?, size: UInt64, chunks: UInt64,
        created: WallTime, name: String, format: String
    ) {
        self.cid = cid
        self.bucket = bucket
        self.key = key
        self.version = version
        self.size = size
        self.chunks = chunks
        self.created = created
        self.name = name
        self.format = format
    }

    // MARK: As it is kept

    var encoded: [UInt8] {
        var fields: [(key: String, value: JSONValue)] = [
            ("cid", .string(cid)), ("bucket", .string(bucket)), ("key", .string(key)),
            ("version", .optional(version)), ("size", .integer(Int64(clamping: size))),
            ("chunks", .integer(Int64(clamping: chunks))),
            ("created_ms", .integer(created.milliseconds)),
        ]
        fields += described
        fields.append(("access", access.json))
        return Array(JSONValue.object(fields).encoded.utf8)
    }

    /// Nil for what no gateway wrote.
    init?(encoded bytes: [UInt8]) {
        let json: JSONValue
        do { json = try JSONValue(parsing: bytes) } catch { return nil }
        guard let members = json.members, let cid = members["cid"]?.text,
            let bucket = members["bucket"]?.text, let key = members["key"]?.text,
            let size = members["size"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let chunks = members["chunks"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let created = members["created_ms"]?.integer, let name = members["name"]?.text,
            let format = members["format"]?.text, let price = members["price"]?.integer,
            let schema = members["schema"]?.members, let access = members["access"]?.members
        else { return nil }
        self.init(
            cid: cid, bucket: bucket, key: key, version: members["version"]?.text, size: size,
            chunks: chunks, created: WallTime(milliseconds: created), name: name, format: format)
        text = members["description"]?.text ?? ""
        self.price = price
        license = members["license"]?.text ?? ""
        label = schema["label"]?.text
        if case .array(let values)? = schema["features"] { features = values.compactMap(\.text) }
        // What forbids something must not be passed over.
        do {
            let names = DatasetAccess.names
            self.access = try DatasetAccess(
                try JSONBody(access, allowing: names, of: "the access"), from: DatasetAccess())
        } catch { return nil }
    }

    /// What its owner says of it, but for who may read it.
    var described: [(key: String, value: JSONValue)] {
        [
            ("name", .string(name)), ("description", .string(text)), ("format", .string(format)),
            (
                "schema",
                .object([
                    ("features", .array(features.map { .string($0) })),
                    ("label", .optional(label)),
                ])
            ), ("price", .integer(price)), ("license", .string(license)),
        ]
    }
}

/// Who may read a data set beside its owner's account (EN-05). A policy of its bucket that forbids it
/// counts for more, and one that allows it as much.
struct DatasetAccess: Equatable, Sendable {
    static let names: Set<String> = [
        "public_read", "public_list", "allowed_readers", "allowed_compute_nodes", "required_token",
        "required_balance",
    ]
    static let readersMax = 256
    static let nameBytesMax = 128

    var isPublic = false
    /// Whether searches find it, and anybody may see what is said of it.
    var isListed = false
    /// Canonical user IDs.
    var readers: [String] = []
    /// Kept for later: no compute node can show yet that it is one, so that none is let in by this.
    var computeNodes: [String] = []
    /// What a reader must own. There is no ledger to ask: others than the owner are refused.
    var requiredToken: String?
    var requiredBalance: Int64 = 0

    var isGated: Bool { requiredToken != nil || requiredBalance > 0 }

    init() {}

    /// What `body` says, and for the rest what `old` is.
    @inline(never)
    init(_ body: JSONBody, from old: DatasetAccess) throws(RESTError) {
        self = old
        isPublic = try body.flag("public_read") ?? isPublic
        isListed = try body.flag("public_list") ?? isListed
        if let ids = try body.texts("allowed_readers") {
            for id in ids where Hex.decode(id)?.count != Digest.byteCount {
                throw .invalid(
                    "`\(id.prefix(70))` in `allowed_readers` is no account",
                    advice: "name accounts by the 64 digits that GET /api/v1/users/me tells")
            }
            readers = try DatasetAccess.bounded(ids.map { $0.lowercased() }, "allowed_readers")
        }
        if let ids = try body.texts("allowed_compute_nodes") {
            computeNodes = try DatasetAccess.bounded(ids, "allowed_compute_nodes")
        }
        if let token = try body.text("required_token") {
            requiredToken = try DatasetAccess.bounded([token], "required_token").first
        }
        requiredBalance = try body.integer("required_balance", in: 0...Int64.max) ?? requiredBalance
    }

    /// Each once; empty ones say nothing.
    private static func bounded(_ ids: [String], _ name: String) throws(RESTError) -> [String] {
        let ids = Set(ids).filter { !$0.isEmpty }.sorted()
        guard ids.count <= readersMax, ids.allSatisfy({ $0.utf8.count <= nameBytesMax }) else {
            throw .invalid("`\(name)` has at most \(readersMax) names of \(nameBytesMax) bytes")
        }
        return ids
    }

    var json: JSONValue {
        .object([
            ("public_read", .bool(isPublic)), ("public_list", .bool(isListed)),
            ("allowed_readers", .array(readers.map { .string($0) })),
            ("allowed_compute_nodes", .array(computeNodes.map { .string($0) })),
            ("required_token", .optional(requiredToken)),
            ("required_balance", .integer(requiredBalance)),
        ])
    }
}

extension JSONValue {
    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}
