internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    private static let partNumbers = 1...10_000

    func createMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        var options = PutOptions()
        options.headers = try S3Headers.stored(from: call.headers)
        let id = try await call.service.createUpload(call.key, in: call.bucket, options: options)
        var response = S3Gateway.xml(
            XMLWriter.document("InitiateMultipartUploadResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("UploadId", id)
            })
        if let algorithm = call.headers["x-amz-checksum-algorithm"] {
            response.headers.add("x-amz-checksum-algorithm", algorithm)
        }
        return response
    }

    func uploadPart(_ call: Call) async throws -> HTTPResponse {
        let (number, upload) = try S3Gateway.part(call)
        let part = try await call.service.putPart(
            number, upload: upload, key: call.key, in: call.bucket, body: call.body)
        var headers = HTTPHeaders([("etag", "\"\(part.etag)\"")])
        S3Headers.addChecksums(call.body.outcome.checksums, to: &headers)
        return HTTPResponse(status: 200, headers: headers)
    }

    func uploadPartCopy(_ call: Call) async throws -> HTTPResponse {
        let (number, upload) = try S3Gateway.part(call)
        var range = ByteRange.whole
        if let text = call.headers["x-amz-copy-source-range"] {
            range = S3Headers.range(text)
            guard case .from(_, through: .some) = range else {
                throw S3Error.invalidArgument(
                    "The x-amz-copy-source-range value must be of the form bytes=first-last")
            }
        }
        let source = try await openCopySource(call, range)
        let part = try await call.service.putPart(
            number, upload: upload, key: call.key, in: call.bucket, body: source.source)
        return S3Gateway.xml(
            XMLWriter.document("CopyPartResult") { xml in
                xml.element("LastModified", part.modified.rfc3339)
                xml.element("ETag", "\"\(part.etag)\"")
            })
    }

    private static func part(_ call: Call) throws(S3Error) -> (number: Int, upload: String) {
        guard let upload = call.query["uploadId"], !upload.isEmpty,
            let number = call.query["partNumber"].flatMap({ Int($0) }),
            partNumbers.contains(number)
        else {
            throw .invalidArgument(
                "An upload of a part needs uploadId, and partNumber from 1 to 10000")
        }
        return (number, upload)
    }

    func completeMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let root = try S3Gateway.parse(
            try await call.body.collect(limit: XMLReader.maximumBytes))
        var parts: [(number: Int, etag: String)] = []
        for element in root.children(named: "Part") {
            guard let number = element.text(of: "PartNumber").flatMap({ Int($0) }),
                S3Gateway.partNumbers.contains(number), let etag = element.child("ETag")
            else { throw S3Error.malformedXML }
            guard number > parts.last?.number ?? 0 else {
                throw S3Error(
                    "InvalidPartOrder", 400,
                    "The list of parts was not in ascending order: \(number) comes too late")
            }
            parts.append((number, S3Headers.unquoted(etag.text)))
        }
        guard root.name == "CompleteMultipartUpload", !parts.isEmpty else {
            throw S3Error.malformedXML
        }
        let info = try await call.service.completeUpload(
            call.query["uploadId"] ?? "", key: call.key, in: call.bucket, parts: parts)
        var response = S3Gateway.xml(
            XMLWriter.document("CompleteMultipartUploadResult") { xml in
                xml.element("Location", location(call))
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("ETag", "\"\(info.etag)\"")
            })
        S3Headers.addPlacement(info, to: &response.headers)
        return response
    }

    private func location(_ call: Call) -> String {
        let host = call.headers["host"] ?? ""
        let key = PercentEncoding.encode(call.key.utf8, keepingSlashes: true)
        return "http://\(host)/\(call.bucket)/\(key)"
    }

    func abortMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        try await call.service.abortUpload(
            call.query["uploadId"] ?? "", key: call.key, in: call.bucket)
        return HTTPResponse(status: 204)
    }
}
