internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// What a gateway needs to tell events.
package struct EventSettings: Sendable {
    let hub: EventHub
    /// The canonical user ID of the account whose keys may see the peer's own state; nil: nobody's.
    let operatorAccount: String?
    /// The origins of other sites whose pages may listen, such as `https://console.example.com`.
    let origins: Set<String>

    package init(hub: EventHub, operatorAccount: String?, origins: Set<String>) {
        self.hub = hub
        self.operatorAccount = operatorAccount
        self.origins = origins
    }
}

extension RESTGateway {
    /// `GET /api/v1/events`: the connection becomes a WebSocket.
    func openEvents(_ call: Call) async throws -> HTTPResponse {
        guard let events else {
            throw RESTError("NotImplemented", 501, "This gateway tells no events")
        }
        let headers = try WebSocketHandshake.answer(call.s3.request.http, origins: events.origins)
        let account = call.account.id
        let isOperator = account == events.operatorAccount && call.account.reach == nil
        let lifetime = lifetime(of: call)
        let environment = environment
        let open = opening(call)
        return HTTPResponse(
            status: 101, headers: headers,
            body: .upgrade { socket in
                guard await events.hub.admit(account) else {
                    return await EventSession.refuse(socket)
                }
                let session = EventSession(
                    environment: environment, hub: events.hub, isOperator: isOperator,
                    lifetime: lifetime, open: open)
                await session.run(socket)
                await events.hub.dismiss(account)
            })
    }

    /// Not beyond the token that it was opened with.
    private func lifetime(of call: Call) -> Duration {
        guard let token = call.token else { return EventSession.lifetime }
        let left = token.expires.milliseconds - environment.wallTime().milliseconds
        return min(EventSession.lifetime, .milliseconds(max(0, left)))
    }

    /// Who may list a bucket's objects under a prefix may hear of them.
    private func opening(_ call: Call) -> EventSession.Opening {
        let s3 = s3
        return { bucket, prefix in
            if let objection = S3Request.objection(to: bucket) {
                throw S3Error(
                    "InvalidBucketName", 400, "The bucket name is not valid: \(objection)")
            }
            var http = call.s3.request.http
            http.target =
                "/\(bucket)?list-type=2&prefix=" + PercentEncoding.encode(prefix)
            var inner = call.s3
            inner.request = try S3Request(http, hostSuffix: nil)
            inner.account = call.account
            try await s3.authorize(try S3Operation(inner.request), &inner)
            guard let changes = inner.service as? any ObjectChangeSource else {
                throw S3Error("NotImplemented", 501, "This gateway tells no events")
            }
            return (inner.service.account.hex, changes)
        }
    }
}
