internal import CyxS3

/// One stored part of a multipart upload.
package struct UploadedPart: Sendable, Equatable {
    package var number: Int
    package var etag: String
}

extension S3Client {
    /// Stores an object from a whole file; `meter` counts what moves.
    package func put(
        bucket: String, key: String, file: OpenFile, size: UInt64, meter: TransferMeter
    ) async throws(ClientError) -> RemoteObject {
        var request = S3Request("PutObject", "PUT", bucket: bucket, key: key)
        request.body = .file(file, offset: 0, count: size)
        request.meter = meter
        var stored = RemoteObject(key: key, response: try await send(request))
        stored.size = size
        return stored
    }

    /// Begins a multipart upload and returns its ID.
    package func createUpload(bucket: String, key: String) async throws(ClientError) -> String {
        var request = S3Request("CreateMultipartUpload", "POST", bucket: bucket, key: key)
        request.query = [("uploads", "")]
        let document = try Self.document(
            try await send(request), "InitiateMultipartUploadResult")
        guard let id = document.text(of: "UploadId"), !id.isEmpty else {
            throw .malformed("InitiateMultipartUploadResult")
        }
        return id
    }

    /// Stores `count` bytes at `offset` of a file as one part.
    package func uploadPart(
        bucket: String, key: String, upload: String, number: Int, file: OpenFile, offset: UInt64,
        count: UInt64, meter: TransferMeter
    ) async throws(ClientError) -> UploadedPart {
        var request = S3Request("UploadPart", "PUT", bucket: bucket, key: key)
        request.query = [("partNumber", "\(number)"), ("uploadId", upload)]
        request.body = .file(file, offset: offset, count: count)
        request.meter = meter
        let response = try await send(request)
        guard let etag = response.headers["etag"] else { throw .malformed("ETag of a part") }
        return UploadedPart(number: number, etag: Self.unquoted(etag))
    }

    /// The parts that the gateway holds of an upload, by number.
    package func listParts(
        bucket: String, key: String, upload: String
    ) async throws(ClientError) -> [Int: (etag: String, size: UInt64)] {
        var parts: [Int: (etag: String, size: UInt64)] = [:]
        var marker: String?
        repeat {
            var request = S3Request("ListParts", "GET", bucket: bucket, key: key)
            request.query = [("uploadId", upload)]
            if let marker { request.query.append(("part-number-marker", marker)) }
            let document = try Self.document(try await send(request), "ListPartsResult")
            for part in document.children(named: "Part") {
                guard let number = part.text(of: "PartNumber").flatMap(Int.init),
                    let size = part.text(of: "Size").flatMap(UInt64.init)
                else { throw .malformed("ListPartsResult") }
                parts[number] = (Self.unquoted(part.text(of: "ETag") ?? ""), size)
            }
            let next = document.text(of: "NextPartNumberMarker")
            let isTruncated = document.text(of: "IsTruncated") == "true"
            marker = isTruncated && next != marker ? next : nil
        } while marker != nil
        return parts
    }

    /// Makes the object of its parts, which are in order.
    package func completeUpload(
        bucket: String, key: String, upload: String, parts: [UploadedPart]
    ) async throws(ClientError) {
        var request = S3Request("CompleteMultipartUpload", "POST", bucket: bucket, key: key)
        request.query = [("uploadId", upload)]
        let list = parts.map {
            "<Part><PartNumber>\($0.number)</PartNumber><ETag>&quot;\($0.etag)&quot;</ETag></Part>"
        }
        let body = "<CompleteMultipartUpload>\(list.joined())</CompleteMultipartUpload>"
        request.body = .bytes(Array(body.utf8))
        let response = try await send(request)
        _ = try Self.document(response, "CompleteMultipartUploadResult")
    }

    package func abortUpload(
        bucket: String, key: String, upload: String
    ) async throws(ClientError) {
        var request = S3Request("AbortMultipartUpload", "DELETE", bucket: bucket, key: key)
        request.query = [("uploadId", upload)]
        _ = try await send(request)
    }

    /// Reads the bytes of `range` into the sink, of exactly the version that `etag` names.
    package func get(
        _ source: DownloadSource, range: Range<UInt64>, etag: String?,
        sink: HTTPRequest.Sink, meter: TransferMeter
    ) async throws(ClientError) {
        guard !range.isEmpty else { return }
        var request = source.request
        request.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
        if let etag { request.headers.append(("if-match", "\"\(etag)\"")) }
        request.sink = sink
        request.meter = meter
        let response = try await send(request)
        guard response.byteCount == UInt64(range.count) else {
            throw ClientError(
                code: "NET-08",
                message: "\(response.byteCount) bytes of \(source.text) came, not \(range.count)",
                remedy: "run it again")
        }
        meter.secure(UInt64(range.count))
    }
}
