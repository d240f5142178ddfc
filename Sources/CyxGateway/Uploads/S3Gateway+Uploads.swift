internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// One page of the multipart uploads of a bucket: prefix, delimiter, markers and limit as S3 has them.
/// Pure.
struct UploadPage {
    var uploads: [UploadInfo] = []
    var commonPrefixes: [String] = []
    var isTruncated = false
    /// The last entry that was shown: a key and an upload, or a common prefix.
    var nextKey = ""
    var nextID = ""

    struct Request {
        var prefix = ""
        var delimiter: String?
        var keyMarker = ""
        /// Counts only together with `keyMarker`.
        var idMarker = ""
        var limit = ListingQuery.maximumKeys
    }

    init(_ all: [UploadInfo], _ request: Request) {
        guard request.limit > 0 else { return }
        let sorted = all.filter { $0.key.utf8.starts(with: request.prefix.utf8) }
            .sorted { $0.key == $1.key ? isBefore($0.id, $1.id) : isBefore($0.key, $1.key) }
        for upload in sorted {
            let group = UploadPage.group(of: upload.key, request)
            guard !UploadPage.isShown(upload, group, request) else { continue }
            if let group, commonPrefixes.last == group { continue }
            guard uploads.count + commonPrefixes.count < request.limit else {
                isTruncated = true
                return
            }
            if let group {
                commonPrefixes.append(group)
                (nextKey, nextID) = (group, "")
            } else {
                uploads.append(upload)
                (nextKey, nextID) = (upload.key, upload.id)
            }
        }
    }

    /// Whether a page before this one has told of the upload.
    private static func isShown(_ upload: UploadInfo, _ group: String?, _ request: Request) -> Bool
    {
        let name = group ?? upload.key
        if name == request.keyMarker {
            return group != nil || request.idMarker.isEmpty
                || !isBefore(request.idMarker, upload.id)
        }
        return isBefore(name, request.keyMarker)
    }

    /// The key up to and with the first delimiter behind the prefix.
    private static func group(of key: String, _ request: Request) -> String? {
        guard let delimiter = request.delimiter.map({ Array($0.utf8) }), !delimiter.isEmpty else {
            return nil
        }
        let bytes = Array(key.utf8)
        let start = request.prefix.utf8.count
        guard bytes.count >= start + delimiter.count else { return nil }
        for index in start...(bytes.count - delimiter.count)
        where bytes[index..<index + delimiter.count].elementsEqual(delimiter) {
            return String(decoding: bytes[..<(index + delimiter.count)], as: UTF8.self)
        }
        return nil
    }
}

extension S3Gateway {
    func listMultipartUploads(_ call: Call) async throws -> HTTPResponse {
        var request = UploadPage.Request()
        request.prefix = call.query["prefix"] ?? ""
        request.delimiter = call.query["delimiter"].flatMap { $0.isEmpty ? nil : $0 }
        request.keyMarker = call.query["key-marker"] ?? ""
        request.idMarker =
            request.keyMarker.isEmpty ? "" : call.query["upload-id-marker"] ?? ""
        request.limit = try ListingQuery.count(call.query["max-uploads"], "max-uploads")
        let isEncoded = try ListingQuery.encodesNames(call.query)
        let page = UploadPage(try await call.service.uploads(in: call.bucket), request)
        func shown(_ name: String) -> String { ListingQuery.shown(name, encoded: isEncoded) }
        return S3Gateway.xml(
            XMLWriter.document("ListMultipartUploadsResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("KeyMarker", shown(request.keyMarker))
                xml.element("UploadIdMarker", request.idMarker)
                if page.isTruncated {
                    xml.element("NextKeyMarker", shown(page.nextKey))
                    xml.element("NextUploadIdMarker", page.nextID)
                }
                xml.element("Prefix", shown(request.prefix))
                if let delimiter = request.delimiter { xml.element("Delimiter", shown(delimiter)) }
                if isEncoded { xml.element("EncodingType", "url") }
                xml.element("MaxUploads", request.limit)
                xml.element("IsTruncated", page.isTruncated)
                for upload in page.uploads {
                    xml.element("Upload") { xml in
                        xml.element("Key", shown(upload.key))
                        xml.element("UploadId", upload.id)
                        writeInitiator(&xml, call, of: upload)
                        writeOwner(&xml, id: call.owner)
                        xml.element("StorageClass", S3Headers.storageClass(upload.headers))
                        xml.element("Initiated", upload.started.rfc3339)
                        UploadChecksum(upload.headers)?.write(&xml)
                    }
                }
                for prefix in page.commonPrefixes {
                    xml.element("CommonPrefixes") { $0.element("Prefix", shown(prefix)) }
                }
            })
    }

    func listParts(_ call: Call) async throws -> HTTPResponse {
        let id = call.query["uploadId"] ?? ""
        let limit = try ListingQuery.count(call.query["max-parts"], "max-parts")
        let marker =
            try ListingQuery.number(call.query["part-number-marker"], "part-number-marker") ?? 0
        let upload = try await call.service.upload(id, key: call.key, in: call.bucket)
        let all = try await call.service.parts(upload: id, key: call.key, in: call.bucket)
            .filter { $0.number > marker }
            .sorted { $0.number < $1.number }
        let shown = all.prefix(limit)
        var response = S3Gateway.xml(
            XMLWriter.document("ListPartsResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("UploadId", id)
                writeInitiator(&xml, call, of: upload)
                writeOwner(&xml, id: call.owner)
                xml.element("StorageClass", S3Headers.storageClass(upload.headers))
                UploadChecksum(upload.headers)?.write(&xml)
                xml.element("PartNumberMarker", marker)
                xml.element("NextPartNumberMarker", shown.last?.number ?? marker)
                xml.element("MaxParts", limit)
                xml.element("IsTruncated", !shown.isEmpty && shown.count < all.count)
                for part in shown {
                    xml.element("Part") { xml in
                        xml.element("PartNumber", part.number)
                        xml.element("LastModified", part.modified.rfc3339)
                        xml.element("ETag", "\"\(part.etag)\"")
                        xml.element("Size", part.size)
                        S3Headers.write(&xml, checksums: part.checksums)
                    }
                }
            })
        S3Headers.addAbortion(
            ofUpload: call.key, started: upload.started, call, to: &response.headers)
        return response
    }

    private func writeInitiator(_ xml: inout XMLWriter, _ call: Call, of upload: UploadInfo) {
        writeOwner(&xml, id: upload.headers[S3Headers.initiator] ?? call.owner, as: "Initiator")
    }
}

extension S3Headers {
    /// Who began an upload, where that is not the bucket's owner.
    static let initiator = hiddenPrefix + "initiator"
}
