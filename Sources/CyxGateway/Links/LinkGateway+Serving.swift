internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What an open link shows: an object, or what is in a folder.
extension LinkGateway {
    /// How much of a text its page shows.
    static let previewBytes: UInt64 = 64 << 10
    static let entriesOfPage = 1000

    // Not inlined, for the same reason as S3's: see `S3Gateway.perform`.
    @inline(never)
    func serve(_ visit: Visit) async throws -> HTTPResponse {
        if visit.isListing { return try await list(visit) }
        if visit.query.has("view") { return try await view(visit) }
        if visit.query.has("download") || !visit.wantsPage { return try await download(visit) }
        return try await show(visit)
    }

    /// A call for what the link shares, with nothing of the visitor's in it: neither a version nor
    /// headers that would have the answer be something else than what is stored.
    private func call(_ visit: Visit) throws -> S3Gateway.Call {
        var http = visit.request
        http.headers = HTTPHeaders()
        for field in visit.request.headers.fields
        where LinkGateway.passedHeaders.contains(field.name) {
            http.headers.add(field.name, field.value)
        }
        // Only the path of the target counts here, and it is not S3's.
        http.target = "/"
        var request = try S3Request(http, hostSuffix: nil)
        request.bucket = visit.share.bucket
        request.key = visit.key
        return S3Gateway.Call(
            request: request, service: visit.account.service, account: visit.account,
            body: CheckedBody(
                visit.body, try PayloadCheck(unsigned: http), blocking: environment.blocking))
    }

    private static let passedHeaders: Set<String> = [
        "range", "if-range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since",
    ]

    // MARK: One object

    /// The bytes as they are stored, with nothing that the writer said about them but their kind.
    @inline(never)
    private func bytes(_ visit: Visit) async throws -> HTTPResponse {
        var call = try call(visit)
        try await s3.authorize(.getObject, &call)
        let stored =
            visit.isHead ? try await s3.headObject(call) : try await s3.getObject(call)
        var headers = HTTPHeaders()
        for field in stored.headers.fields where LinkGateway.givenHeaders.contains(field.name) {
            headers.add(field.name, field.value)
        }
        headers.set("cache-control", "private, no-cache")
        // What users store must never run as a page of the gateway's origin.
        headers.set("content-security-policy", LinkPage.sandbox)
        headers.set("cross-origin-resource-policy", "same-origin")
        return HTTPResponse(status: stored.status, headers: headers, body: stored.body)
    }

    private static let givenHeaders: Set<String> = [
        "content-type", "content-encoding", "content-language", "content-range", "accept-ranges",
        "etag", "last-modified",
    ]

    @inline(never)
    private func download(_ visit: Visit) async throws -> HTTPResponse {
        guard !visit.share.isViewOnly else {
            throw RESTError(
                "AccessDenied", 403, "This link only shows what it shares",
                advice: "open it in a browser, or ask who sent it for one to download with")
        }
        var response = try await bytes(visit)
        response.headers.set(
            "content-disposition", FileName.disposition(FileName.last(of: visit.key)))
        return response
    }

    /// The bytes for the page that shows them, of kinds that browsers show without running them.
    @inline(never)
    private func view(_ visit: Visit) async throws -> HTTPResponse {
        var response = try await bytes(visit)
        let type = response.headers["content-type"] ?? ""
        guard Preview(type).isEmbedded else {
            throw RESTError("InvalidRequest", 400, "No browser shows this kind of file by itself")
        }
        response.headers.set("content-disposition", "inline")
        return response
    }

    @inline(never)
    private func show(_ visit: Visit) async throws -> HTTPResponse {
        var call = try call(visit)
        call.request.http.headers = HTTPHeaders()
        try await s3.authorize(.getObject, &call)
        let info = try await call.service.head(visit.key, in: visit.share.bucket)
        guard !CustomerCipher.isUsed(by: info.headers) else {
            throw RESTError(
                "InvalidRequest", 400, "The object is encrypted with a key of its writer's")
        }
        let preview = Preview(info.headers["content-type"] ?? "")
        var text: String?
        if preview == .text, info.headers["content-encoding"] == nil, info.size > 0 {
            let range = ByteRange.from(0, through: LinkGateway.previewBytes - 1)
            let body = try await call.service.get(
                visit.key, in: visit.share.bucket, range: range)
            var (source, bytes): (any ByteSource, [UInt8]) = (body.source, [])
            while let more = try await source.next() { bytes += more }
            text = String(decoding: bytes, as: UTF8.self)
        }
        let page = LinkPage.object(visit, info, preview, text: text)
        return LinkPage.response(page, status: 200, HTTPHeaders(), visit.request)
    }

    // MARK: A folder

    @inline(never)
    private func list(_ visit: Visit) async throws -> HTTPResponse {
        var call = try call(visit)
        call.request.key = nil
        call.request.query = S3Query(prefix: visit.key)
        try await s3.authorize(.listObjectsV2, &call)
        var request = ListRequest()
        request.prefix = visit.key
        request.delimiter = "/"
        request.limit = LinkGateway.entriesOfPage
        request.startAfter = visit.query["after"].map { visit.key + $0 } ?? ""
        let listing = try await call.service.list(visit.share.bucket, request)
        guard visit.wantsPage else {
            return RESTGateway.json(LinkGateway.describe(listing, visit))
        }
        let page = LinkPage.folder(visit, listing)
        return LinkPage.response(page, status: 200, HTTPHeaders(), visit.request)
    }

    /// Names within the folder that is listed.
    private static func describe(_ listing: ObjectListing, _ visit: Visit) -> JSONValue {
        func name(_ key: String) -> JSONValue { .string(key.droppingPrefix(visit.key)) }
        return .object([
            ("folders", .array(listing.commonPrefixes.map(name))),
            (
                "files",
                .array(
                    listing.objects.filter { $0.key != visit.key }.map { object in
                        .object([
                            ("name", name(object.key)),
                            ("size", .integer(Int64(clamping: object.size))),
                            ("modified", .string(object.modified.rfc3339)),
                        ])
                    })
            ), ("next", listing.nextMarker.map(name) ?? .null),
        ])
    }
}
