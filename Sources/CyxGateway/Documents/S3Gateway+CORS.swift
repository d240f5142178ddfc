internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What browsers ask before and read after requests of pages from elsewhere (the Fetch standard,
/// §3.2).
extension S3Gateway {
    private static let varying =
        "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

    /// Answers OPTIONS, which browsers send without a signature.
    func preflight(_ http: HTTPRequest) async throws -> HTTPResponse {
        guard let origin = http.headers["origin"] else {
            throw S3Error(
                "BadRequest", 400, "Insufficient information. Origin request header needed.")
        }
        guard let method = http.headers["access-control-request-method"] else {
            throw S3Error(
                "BadRequest", 400, "Invalid Access-Control-Request-Method: null")
        }
        let wanted = (http.headers["access-control-request-headers"] ?? "").split(separator: ",")
            .map { String($0.trimmingSpaces()) }.filter { !$0.isEmpty }
        let request = try S3Request(http, hostSuffix: settings.hostSuffix)
        guard let bucket = request.bucket, let cors = try await cors(of: bucket) else {
            throw S3Error(
                "AccessForbidden", 403, "CORSResponse: CORS is not enabled for this bucket.")
        }
        guard let rule = cors.rule(origin: origin, method: method, headers: wanted) else {
            throw S3Error(
                "AccessForbidden", 403,
                "CORSResponse: This CORS request is not allowed. This is usually because the "
                    + "evalution of Origin, request method / Access-Control-Request-Method or "
                    + "Access-Control-Request-Headers are not whitelisted by the resource's CORS "
                    + "spec.")
        }
        var response = HTTPResponse(status: 200)
        S3Gateway.add(rule, origin, to: &response.headers)
        if !wanted.isEmpty {
            response.headers.add(
                "access-control-allow-headers", wanted.joined(separator: ", ").lowercased())
        }
        return response
    }

    /// The rules of a bucket of any of the accounts; nil where it has none.
    private func cors(of bucket: String) async throws -> CORSConfiguration? {
        guard let service = accounts.anyService else { return nil }
        guard let id = try await service.owner(of: bucket) else { throw ObjectError.noSuchBucket }
        guard let owner = accounts.account(id: id.hex) else { return nil }
        return try rules.rules(of: try await owner.service.bucket(bucket), owner: owner.id).cors
    }

    private static func add(
        _ rule: CORSConfiguration.Rule, _ origin: String, to headers: inout HTTPHeaders
    ) {
        headers.add("access-control-allow-origin", rule.isForAnyOrigin ? "*" : origin)
        headers.add("access-control-allow-methods", rule.methods.joined(separator: ", "))
        if !rule.exposed.isEmpty {
            headers.add("access-control-expose-headers", rule.exposed.joined(separator: ", "))
        }
        if let age = rule.maxAgeSeconds { headers.add("access-control-max-age", String(age)) }
        if !rule.isForAnyOrigin { headers.add("access-control-allow-credentials", "true") }
        headers.add("vary", varying)
    }

    /// What an answer to the request must say, or a browser will not show it to the page.
    func corsHeaders(_ call: Call) -> HTTPHeaders {
        var headers = HTTPHeaders()
        let method =
            call.headers["access-control-request-method"] ?? call.request.http.method
        guard let origin = call.headers["origin"],
            let rule = call.rules?.cors?.rule(origin: origin, method: method)
        else { return headers }
        S3Gateway.add(rule, origin, to: &headers)
        return headers
    }
}
