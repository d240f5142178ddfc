internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What the two versions of ListObjects have in common.
struct ListingQuery {
    static let maximumKeys = 1000

    var request = ListRequest()
    var maxKeys: Int
    var encodesNames: Bool

    init(_ query: S3Query) throws(S3Error) {
        request.prefix = query["prefix"] ?? ""
        request.delimiter = query["delimiter"].flatMap { $0.isEmpty ? nil : $0 }
        maxKeys = try ListingQuery.count(query["max-keys"], "max-keys")
        request.limit = maxKeys
        encodesNames = try ListingQuery.encodesNames(query)
    }

    static func encodesNames(_ query: S3Query) throws(S3Error) -> Bool {
        switch query["encoding-type"] {
        case nil: return false
        case "url": return true
        default: throw .invalidArgument("Invalid Encoding Method specified in Request")
        }
    }

    /// How many entries a page may have.
    static func count(_ text: String?, _ name: String) throws(S3Error) -> Int {
        min(try number(text, name) ?? maximumKeys, maximumKeys)
    }

    /// Nil where nothing is given.
    static func number(_ text: String?, _ name: String) throws(S3Error) -> Int? {
        guard let text, !text.isEmpty else { return nil }
        guard let value = Int(text), value >= 0, value <= Int(Int32.max) else {
            throw .invalidArgument("Provided \(name) not an integer or within integer range")
        }
        return value
    }

    /// A name as the listing shows it.
    func shown(_ name: String) -> String { ListingQuery.shown(name, encoded: encodesNames) }

    static func shown(_ name: String, encoded: Bool) -> String {
        encoded ? PercentEncoding.encode(name.utf8, keepingSlashes: true) : name
    }
}

extension S3Gateway {
    func listObjectsV2(_ call: Call) async throws -> HTTPResponse {
        var listing = try ListingQuery(call.query)
        listing.request.startAfter = call.query["start-after"] ?? ""
        let token = call.query["continuation-token"]
        if let token, !token.isEmpty {
            guard let bytes = Base64.decode(token),
                let marker = String(validating: bytes, as: UTF8.self)
            else { throw S3Error.invalidArgument("The continuation token provided is incorrect") }
            listing.request.startAfter = marker
        }
        let page = try await page(of: call, listing)
        return S3Gateway.xml(
            XMLWriter.document("ListBucketResult") { xml in
                writeListingHead(&xml, call, listing, isTruncated: page.nextMarker != nil)
                xml.element("KeyCount", page.objects.count + page.commonPrefixes.count)
                if let after = call.query["start-after"] {
                    xml.element("StartAfter", listing.shown(after))
                }
                if let token { xml.element("ContinuationToken", token) }
                if let next = page.nextMarker {
                    xml.element("NextContinuationToken", Base64.encode(Array(next.utf8)))
                }
                let showsOwner = call.query["fetch-owner"] == "true"
                writePage(&xml, call, listing, page, showsOwner: showsOwner)
            })
    }

    func listObjects(_ call: Call) async throws -> HTTPResponse {
        var listing = try ListingQuery(call.query)
        let marker = call.query["marker"] ?? ""
        listing.request.startAfter = marker
        let page = try await page(of: call, listing)
        return S3Gateway.xml(
            XMLWriter.document("ListBucketResult") { xml in
                writeListingHead(&xml, call, listing, isTruncated: page.nextMarker != nil)
                xml.element("Marker", listing.shown(marker))
                // S3 gives it only with a delimiter; without one it is the last key.
                if let next = page.nextMarker, listing.request.delimiter != nil {
                    xml.element("NextMarker", listing.shown(next))
                }
                writePage(&xml, call, listing, page, showsOwner: true)
            })
    }

    private func page(of call: Call, _ listing: ListingQuery) async throws -> ObjectListing {
        guard listing.maxKeys > 0 else {
            _ = try await call.service.bucket(call.bucket)
            return ObjectListing()
        }
        return try await call.service.list(call.bucket, listing.request)
    }

    private func writeListingHead(
        _ xml: inout XMLWriter, _ call: Call, _ listing: ListingQuery, isTruncated: Bool
    ) {
        xml.element("Name", call.bucket)
        xml.element("Prefix", listing.shown(listing.request.prefix))
        if let delimiter = listing.request.delimiter {
            xml.element("Delimiter", listing.shown(delimiter))
        }
        xml.element("MaxKeys", listing.maxKeys)
        if listing.encodesNames { xml.element("EncodingType", "url") }
        xml.element("IsTruncated", isTruncated)
    }

    private func writePage(
        _ xml: inout XMLWriter, _ call: Call, _ listing: ListingQuery, _ page: ObjectListing,
        showsOwner: Bool
    ) {
        for object in page.objects {
            xml.element("Contents") { xml in
                xml.element("Key", listing.shown(object.key))
                xml.element("LastModified", object.modified.rfc3339)
                xml.element("ETag", "\"\(object.etag)\"")
                S3Headers.writeAlgorithms(&xml, object.checksums)
                xml.element("Size", object.size)
                if showsOwner { writeOwner(&xml, call, of: object) }
                xml.element("StorageClass", S3Headers.storageClass(object.headers))
            }
        }
        for prefix in page.commonPrefixes {
            xml.element("CommonPrefixes") { $0.element("Prefix", listing.shown(prefix)) }
        }
    }
}
