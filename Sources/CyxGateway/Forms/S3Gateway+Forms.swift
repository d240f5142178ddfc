internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    /// The boundary of a request that is a browser's form; nil for any other.
    static func formBoundary(_ http: HTTPRequest) -> String? {
        http.method == "POST" ? FormReader.boundary(http.headers["content-type"]) : nil
    }

    /// Stores the file of a form (`PostObject`). The form says who it is from: it is signed in its
    /// fields, not in the head of the request.
    func postObject(
        _ http: HTTPRequest, _ body: HTTPRequestBody, boundary: String, _ trace: inout Trace
    ) async throws -> HTTPResponse {
        let request = try S3Request(http, hostSuffix: settings.hostSuffix)
        guard let bucket = request.bucket, request.key == nil, !request.query.has("delete") else {
            throw S3Error.methodNotAllowed(http.method)
        }
        guard http.contentLength != nil else {
            throw S3Error(
                "MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
        }
        var reader = FormReader(boundary: boundary)
        var (source, ready) = (body, [UInt8]())
        while !reader.hasFile, !reader.hasEnded {
            guard let more = try await source.next() else {
                try reader.finish()
                break
            }
            ready += try reader.read(more)
        }
        let form = try PostedForm(reader, http)
        try S3Headers.refuseUnknown(form.headers)
        var account: S3Accounts.Account?
        if let key = form.claimedKey { account = try await self.account(accessKey: key) }
        let accessKey = try form.signer { [account] key throws(S3Error) in
            guard let account else { throw S3Error.unknown(accessKey: key) }
            return account.secret
        }
        var lengths: ClosedRange<UInt64> = 0...S3Gateway.maximumPutBytes
        if let policy = try form.policy.map({ text throws(S3Error) in try FormPolicy(text) }) {
            try policy.check(
                form.fields.merging(["bucket": bucket]) { $1 }, environment.wallTime())
            let end = min(policy.lengths.upperBound, lengths.upperBound)
            lengths = min(policy.lengths.lowerBound, end)...end
        }
        let file = try FormBody(
            source, reader, ready: ready, lengths: lengths, fields: form.headers)
        var call = try call(request, body, form, accessKey == nil ? nil : account)
        defer { trace.headers = corsHeaders(call) }
        try await authorize(.putObject, &call)
        return try await store(form, file, call)
    }

    /// The form as the put that it stands for; its fields are the headers.
    private func call(
        _ request: S3Request, _ body: HTTPRequestBody, _ form: PostedForm,
        _ account: S3Accounts.Account?
    ) throws(S3Error) -> Call {
        var request = request
        request.http.headers = form.headers
        request.key = form.key
        guard let service = account?.service ?? accounts.anyService else { throw .denied }
        let check = try PayloadCheck(unsigned: request.http)
        return Call(
            request: request, service: service, account: account,
            body: CheckedBody(body, check, blocking: environment.blocking))
    }

    private func store(
        _ form: PostedForm, _ file: FormBody, _ call: Call
    ) async throws -> HTTPResponse {
        let bucket = call.bucket
        var options = PutOptions()
        options.headers = try S3Headers.stored(from: form.headers)
        options.attributes = call.attributes
        let outcome = file.outcome
        options.checksumsAtEnd = { outcome.checksums }
        var body: any ByteSource = file
        let key = try CustomerKey(form.headers)
        if let key {
            let cipher = CustomerCipher(key, random: environment.random)
            cipher.store(in: &options.headers)
            body = cipher.encrypting(body, blocking: environment.blocking)
        }
        let info = try await call.service.put(form.key, in: bucket, options: options, body: body)
        var response = answer(to: form, info, call)
        S3Headers.addVersion(info.versionID, to: &response.headers)
        S3Headers.addObjectChecksums(info.checksums, to: &response.headers)
        S3Headers.addPlaced(info.headers, to: &response.headers)
        key?.describe(in: &response.headers)
        return response
    }

    /// What the form wants to be answered.
    private func answer(
        to form: PostedForm, _ info: ObjectInfo, _ call: Call
    ) -> HTTPResponse {
        let bucket = call.bucket
        let host = form.headers["host"] ?? ""
        let name = PercentEncoding.encode(form.key, keepingSlashes: true)
        let location = "\(call.request.http.scheme)://\(host)/\(bucket)/\(name)"
        let etag = "\"\(info.etag)\""
        if let target = form.fields["success_action_redirect"] ?? form.fields["redirect"],
            ["http://", "https://"].contains(where: { target.hasPrefix($0) }),
            target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        {
            let query = [("bucket", bucket), ("key", form.key), ("etag", etag)]
                .map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&")
            let place = target + (target.contains("?") ? "&" : "?") + query
            return HTTPResponse(
                status: 303, headers: HTTPHeaders([("location", place), ("etag", etag)]))
        }
        let headers = HTTPHeaders([("etag", etag), ("location", location)])
        switch form.fields["success_action_status"] {
        case "200": return HTTPResponse(status: 200, headers: headers)
        case "201":
            var response = S3Gateway.xml(
                XMLWriter.document("PostResponse", hasNamespace: false) { xml in
                    xml.element("Location", location)
                    xml.element("Bucket", bucket)
                    xml.element("Key", form.key)
                    xml.element("ETag", etag)
                }, status: 201)
            for field in headers.fields { response.headers.add(field.name, field.value) }
            return response
        default: return HTTPResponse(status: 204, headers: headers)
        }
    }
}
