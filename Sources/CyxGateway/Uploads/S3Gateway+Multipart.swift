internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    static let partNumbers = 1...10_000

    func createMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        var options = PutOptions()
        options.headers = try S3Headers.stored(from: call.headers)
        options.attributes = call.attributes
        if let id = call.requester.id, id != call.owner {
            options.headers[S3Headers.initiator] = id
        }
        let checksum = try UploadChecksum(requested: call.headers)
        checksum?.store(in: &options.headers)
        let key = try CustomerKey(call.headers)
        if let key {
            CustomerCipher(key, random: environment.random).store(in: &options.headers)
        }
        let id = try await call.service.createUpload(call.key, in: call.bucket, options: options)
        var response = S3Gateway.xml(
            XMLWriter.document("InitiateMultipartUploadResult") { xml in
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("UploadId", id)
            })
        if let checksum {
            response.headers.add("x-amz-checksum-algorithm", checksum.algorithm.name)
            response.headers.add("x-amz-checksum-type", checksum.type.rawValue)
        }
        S3Headers.addPlaced(options.headers, to: &response.headers)
        S3Headers.addAbortion(
            ofUpload: call.key, started: environment.wallTime(), call, to: &response.headers)
        key?.describe(in: &response.headers)
        return response
    }

    // MARK: Parts

    func uploadPart(_ call: Call) async throws -> HTTPResponse {
        let (number, id) = try S3Gateway.part(call)
        try S3Gateway.checkSize(call)
        let key = try CustomerKey(call.headers)
        let outcome = call.body.outcome
        var options = PartOptions()
        options.checksumsAtEnd = { outcome.checksums }
        options.nonce = key == nil ? [] : environment.random.bytes(CustomerCipher.nonceBytes)
        let (nonce, blocking) = (options.nonce, environment.blocking)
        options.prepare = { upload in
            outcome.uploadHeaders = upload.headers
            var body = call.body
            if let wanted = UploadChecksum.effective(upload.headers) {
                if let promised = body.promisedAlgorithm, promised != wanted.algorithm,
                    !wanted.isImplied
                {
                    throw S3Error.invalidRequest(
                        "Checksum Type mismatch occurred, expected checksum Type: "
                            + "\(wanted.algorithm.rawValue), actual checksum Type: "
                            + promised.rawValue)
                }
                body.compute(wanted.algorithm, as: wanted.partName)
            }
            return try S3Gateway.encrypted(body, key, nonce, upload, blocking)
        }
        let part = try await call.service.putPart(
            number, upload: id, key: call.key, in: call.bucket, options: options, body: call.body)
        var headers = HTTPHeaders([("etag", "\"\(part.etag)\"")])
        S3Headers.addChecksums(part.checksums, to: &headers)
        S3Headers.addPlaced(outcome.uploadHeaders, to: &headers)
        key?.describe(in: &headers)
        return HTTPResponse(status: 200, headers: headers)
    }

    func uploadPartCopy(_ call: Call) async throws -> HTTPResponse {
        let (number, id) = try S3Gateway.part(call)
        let range = try S3Gateway.copiedRange(call.headers["x-amz-copy-source-range"])
        let key = try CustomerKey(call.headers)
        let source = try await openCopySource(call, range)
        try S3Gateway.checkCopySize(UInt64(source.range.count))
        if case .from(_, through: let last?) = range, last >= source.info.size {
            throw S3Error.invalidArgument(
                "Range specified is not valid for source object of size: \(source.info.size)")
        }
        let outcome = CheckedBody.Outcome()
        var options = PartOptions()
        options.checksumsAtEnd = { outcome.checksums }
        options.nonce = key == nil ? [] : environment.random.bytes(CustomerCipher.nonceBytes)
        let (nonce, blocking) = (options.nonce, environment.blocking)
        options.prepare = { upload in
            outcome.uploadHeaders = upload.headers
            var body = source.source
            if let wanted = UploadChecksum.effective(upload.headers) {
                body = ChecksummedSource(body, wanted.algorithm, as: wanted.partName, outcome)
            }
            return try S3Gateway.encrypted(body, key, nonce, upload, blocking)
        }
        let part = try await call.service.putPart(
            number, upload: id, key: call.key, in: call.bucket, options: options,
            body: source.source)
        var response = S3Gateway.xml(
            XMLWriter.document("CopyPartResult") { xml in
                xml.element("LastModified", part.modified.rfc3339)
                xml.element("ETag", "\"\(part.etag)\"")
                S3Headers.write(&xml, checksums: part.checksums)
            })
        S3Gateway.addSourceVersion(source.info, to: &response.headers)
        S3Headers.addPlaced(outcome.uploadHeaders, to: &response.headers)
        key?.describe(in: &response.headers)
        return response
    }

    /// A part must bring the key that its upload was created with, and only then one.
    private static func encrypted(
        _ body: any ByteSource, _ key: CustomerKey?, _ nonce: [UInt8], _ upload: UploadInfo,
        _ blocking: any BlockingPool
    ) throws(S3Error) -> any ByteSource {
        guard CustomerCipher.isUsed(by: upload.headers) else {
            guard key == nil else {
                throw .invalidRequest(
                    "The multipart upload initiate did not request encryption. Please resend the "
                        + "request without sending encryption parameters.")
            }
            return body
        }
        guard let key else {
            throw .invalidRequest(
                "The multipart upload initiate requested encryption. Subsequent part requests "
                    + "must include the appropriate encryption parameters.")
        }
        let cipher: CustomerCipher?
        do throws(S3Error) {
            cipher = try CustomerCipher(key, stored: upload.headers)
        } catch {
            throw .invalidRequest(
                "The provided encryption parameters did not match the ones used originally.")
        }
        return cipher?.encrypting(body, nonce: nonce, blocking: blocking) ?? body
    }

    private static func copiedRange(_ text: String?) throws(S3Error) -> ByteRange {
        guard let text else { return .whole }
        let range = S3Headers.range(text)
        guard case .from(_, through: .some) = range else {
            throw .invalidArgument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where "
                    + "first and last are the zero-based offsets of the first and last bytes to copy"
            )
        }
        return range
    }

    private static func part(_ call: Call) throws(S3Error) -> (number: Int, upload: String) {
        guard let number = call.query["partNumber"].flatMap({ Int($0) }),
            partNumbers.contains(number)
        else {
            throw .invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
        }
        guard let upload = call.query["uploadId"], !upload.isEmpty else {
            throw S3Error(.noSuchUpload)
        }
        return (number, upload)
    }

    // MARK: Completion

    func completeMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let root = try S3Gateway.parse(
            try await call.body.collect(limit: XMLReader.maximumBytes))
        let list = try PartList(root)
        let id = call.query["uploadId"] ?? ""
        let headers = call.headers
        var options = CompletionOptions()
        options.condition = try S3Headers.putCondition(headers)
        let upload = try await call.service.openUpload(id, call.key, in: call.bucket)
        let checksum = upload.flatMap { UploadChecksum.effective($0.headers) }
        options.checksums = { try list.checksums(of: $0, checksum, headers) }
        let info = try await call.service.completeUpload(
            id, key: call.key, in: call.bucket, parts: list.parts, options: options)
        var response = S3Gateway.xml(
            XMLWriter.document("CompleteMultipartUploadResult") { xml in
                xml.element("Location", location(call))
                xml.element("Bucket", call.bucket)
                xml.element("Key", call.key)
                xml.element("ETag", "\"\(info.etag)\"")
                S3Headers.writeObjectChecksums(&xml, info.checksums)
            })
        S3Headers.addPlaced(info.headers, to: &response.headers)
        S3Headers.addVersion(info.versionID, to: &response.headers)
        S3Headers.addPlacement(info, to: &response.headers)
        S3Headers.addExpiration(of: info, call, to: &response.headers)
        return response
    }

    private func location(_ call: Call) -> String {
        let host = call.headers["host"] ?? ""
        let key = PercentEncoding.encode(call.key.utf8, keepingSlashes: true)
        return "\(call.request.http.scheme)://\(host)/\(call.bucket)/\(key)"
    }

    func abortMultipartUpload(_ call: Call) async throws -> HTTPResponse {
        let id = call.query["uploadId"] ?? ""
        let isOpen = try await call.service.openUpload(id, call.key, in: call.bucket) != nil
        // Also where it was aborted before, since that may have been interrupted.
        try await call.service.abortUpload(id, key: call.key, in: call.bucket)
        guard isOpen else { throw S3Error(.noSuchUpload) }
        return HTTPResponse(status: 204)
    }
}

extension ObjectService {
    /// Nil for an upload that is over: its completion may be repeated, and its abortion.
    fileprivate func openUpload(
        _ id: String, _ key: String, in bucket: String
    ) async throws -> UploadInfo? {
        do {
            return try await upload(id, key: key, in: bucket)
        } catch ObjectError.noSuchUpload {
            return nil
        }
    }
}
