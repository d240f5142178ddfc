internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What the two versions of ListObjects have in common.
private struct ListingQuery {
    static let maximumKeys = 1000

    var request = ListRequest()
    var maxKeys: Int
    var encodesNames: Bool

    init(_ query: S3Query) throws(S3Error) {
        request.prefix = query["prefix"] ?? ""
        request.delimiter = query["delimiter"].flatMap { $0.isEmpty ? nil : $0 }
        maxKeys = try ListingQuery.count(query["max-keys"], "max-keys")
        request.limit = maxKeys
        switch query["encoding-type"] {
        case nil: encodesNames = false
        case "url": encodesNames = true
        default: throw .invalidArgument("Invalid Encoding Method specified in Request")
        }
    }

    static func count(_ text: String?, _ name: String) throws(S3Error) -> Int {
        guard let text, !text.isEmpty else { return maximumKeys }
        guard let value = Int(text), value >= 0, value <= Int(Int32.max) else {
            throw .invalidArgument("\(name) must be a number from 0 to 2147483647")
        }
        return min(value, maximumKeys)
    }

    /// A name as the listing shows it.
    func shown(_ name: String) -> String {
        encodesNames ? PercentEncoding.encode(name.utf8, keepingSlashes: true) : name
    }
}

extension S3Gateway {
    func listObjectsV2(_ call: Call) async throws -> HTTPResponse {
        var listing = try ListingQuery(call.query)
        listing.request.startAfter = call.query["start-after"] ?? ""
        let token = call.query["continuation-token"]
        if let token {
            guard !token.isEmpty, let bytes = Base64.decode(token),
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
                xml.element("Size", object.size)
                if showsOwner { writeOwner(&xml, call) }
                xml.element("StorageClass", "STANDARD")
            }
        }
        for prefix in page.commonPrefixes {
            xml.element("CommonPrefixes") { $0.element("Prefix", listing.shown(prefix)) }
        }
    }

    // MARK: Uploads

    func listMultipartUploads(_ call: Call) async throws -> HTTPResponse {
        let prefix = call.query["prefix"] ?? ""
        let limit = try ListingQuery.count(call.query["max-uploads"], "max-uploads")
        let keyMarker = call.query["key-marker"] ?? ""
        let idMarker = call.query["upload-id-marker"] ?? ""
        let all = try await call.service.uploads(in: call.bucket)
            .filter { upload in
                guard upload.key.utf8.starts(with: prefix.utf8) else { return false }
                if upload.key == keyMarker {
                    return !idMarker.isEmpty && isBefore(idMarker, upload.id)
                }
                return isBefore(keyMarker, upload.key)
            }
            .sorted { $0.key == $1.key ? isBefore($0.id, $1.id) : isBefore($0.key, $1.key) }
        let shown = all.prefix(limit)
        return S3Gateway.xml(
            XMLWriter.document("ListMultipartUploadsResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("KeyMarker", keyMarker)
                xml.element("UploadIdMarker", idMarker)
                xml.element("Prefix", prefix)
                xml.element("MaxUploads", limit)
                xml.element("IsTruncated", shown.count < all.count)
                if let last = shown.last, shown.count < all.count {
                    xml.element("NextKeyMarker", last.key)
                    xml.element("NextUploadIdMarker", last.id)
                }
                for upload in shown {
                    xml.element("Upload") { xml in
                        xml.element("Key", upload.key)
                        xml.element("UploadId", upload.id)
                        writeOwner(&xml, call)
                        xml.element("StorageClass", "STANDARD")
                        xml.element("Initiated", upload.started.rfc3339)
                    }
                }
            })
    }

    func listParts(_ call: Call) async throws -> HTTPResponse {
        let upload = call.query["uploadId"] ?? ""
        let limit = try ListingQuery.count(call.query["max-parts"], "max-parts")
        let marker = try ListingQuery.count(call.query["part-number-marker"] ?? "0", "marker")
        let all = try await call.service.parts(upload: upload, key: call.key, in: call.bucket)
            .filter { $0.number > marker }
            .sorted { $0.number < $1.number }
        let shown = all.prefix(limit)
        return S3Gateway.xml(
            XMLWriter.document("ListPartsResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("UploadId", upload)
                writeOwner(&xml, call)
                xml.element("StorageClass", "STANDARD")
                xml.element("PartNumberMarker", marker)
                xml.element("NextPartNumberMarker", shown.last?.number ?? marker)
                xml.element("MaxParts", limit)
                xml.element("IsTruncated", shown.count < all.count)
                for part in shown {
                    xml.element("Part") { xml in
                        xml.element("PartNumber", part.number)
                        xml.element("LastModified", part.modified.rfc3339)
                        xml.element("ETag", "\"\(part.etag)\"")
                        xml.element("Size", part.size)
                    }
                }
            })
    }
}
