package import CyxCore
package import CyxHTTP

/// The interfaces behind one port, told apart by the path: `/api/v1/…` is REST, `/s/…` opens links, and
/// everything else is S3 (decisions §G reserves the bucket names that this takes; those of one letter
/// are none). So S3's clients hear in S3's words why there is no bucket `api`.
package struct GatewayRouter: Sendable {
    let s3: S3Gateway
    let rest: RESTGateway
    let links: LinkGateway

    package init(
        environment: Environment, accounts: S3Accounts,
        settings: S3Gateway.Settings = S3Gateway.Settings(), events: EventSettings? = nil
    ) {
        s3 = S3Gateway(environment: environment, accounts: accounts, settings: settings)
        rest = RESTGateway(s3: s3, events: events)
        links = LinkGateway(rest: rest)
    }

    /// Answers one request; throws only when the client is gone.
    package func handle(
        _ request: HTTPRequest, _ body: HTTPRequestBody
    ) async throws -> HTTPResponse {
        switch route(request) {
        case .rest: try await rest.handle(request, body)
        case .link: try await links.handle(request, body)
        case .s3: try await s3.handle(request, body)
        }
    }

    /// Answers a client that ended its half of the connection before its body.
    package func incompleteBody(_ request: HTTPRequest) -> HTTPResponse {
        switch route(request) {
        case .rest, .link: rest.incompleteBody(request)
        case .s3: s3.incompleteBody(request)
        }
    }

    /// Answers what was no HTTP request, and so has no path that one could go by.
    package func refused(_ refusal: HTTPRefusal) -> HTTPResponse { s3.refused(refusal) }

    enum Route { case rest, link, s3 }

    func route(_ request: HTTPRequest) -> Route {
        // Where the host names a bucket, the whole path is a key.
        let host = request.headers["host"]
        guard S3Request.virtualBucket(host, s3.settings.hostSuffix) == nil else { return .s3 }
        let path = request.target.prefix { $0 != "?" }
        if path.hasPrefix(LinkToken.root) { return .link }
        return path.hasPrefix(RESTGateway.root) ? .rest : .s3
    }
}
