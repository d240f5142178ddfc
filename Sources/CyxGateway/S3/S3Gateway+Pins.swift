internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Pins, which S3 does not have: `POST /BUCKET/KEY?cyx-pin[&seconds=N]` keeps the version that is
/// there, `GET /?cyx-pins[&marker=ID]` lists, and `/?cyx-pin=ID` is the version: GET, HEAD, DELETE.
extension S3Gateway {
    /// The longest time that a pin can be told to last: a hundred years.
    private static let longestPinSeconds: Int64 = 100 * 365 * 86_400

    func createPin(_ call: Call) async throws -> HTTPResponse {
        var span: Duration?
        if let text = call.query["seconds"] {
            guard let seconds = Int64(text), (1...S3Gateway.longestPinSeconds).contains(seconds)
            else {
                throw S3Error.invalidArgument(
                    "seconds=\(text): a pin lasts for 1 to \(S3Gateway.longestPinSeconds) s, or"
                        + " without `seconds` until it is removed")
            }
            span = .seconds(seconds)
        }
        let pin = try await call.service.pin(call.key, in: call.bucket, for: span)
        return S3Gateway.xml(
            XMLWriter.document("CreatePinResult") { xml in S3Gateway.write(pin, to: &xml) })
    }

    func listPins(_ call: Call) async throws -> HTTPResponse {
        let listing = try await call.service.pins(after: call.query["marker"])
        return S3Gateway.xml(
            XMLWriter.document("ListPinsResult") { xml in
                for pin in listing.pins {
                    xml.element("Pin") { S3Gateway.write(pin, to: &$0) }
                }
                if let next = listing.next { xml.element("NextMarker", next) }
            })
    }

    private static func write(_ pin: PinInfo, to xml: inout XMLWriter) {
        xml.element("Id", pin.id)
        xml.element("Bucket", pin.bucket)
        xml.element("Key", PercentEncoding.encode(pin.key, keepingSlashes: true))
        xml.element("Size", String(pin.size))
        xml.element("ETag", "\"\(pin.etag)\"")
        xml.element("Created", pin.created.rfc3339)
        if let until = pin.until { xml.element("Until", until.rfc3339) }
    }

    func getPin(_ call: Call) async throws -> HTTPResponse {
        let id = call.query["cyx-pin"] ?? ""
        return try await give(
            call, info: { try await call.service.head(pin: id) },
            body: { try await call.service.get(pin: id, range: $0) })
    }

    func headPin(_ call: Call) async throws -> HTTPResponse {
        let info = try await call.service.head(pin: call.query["cyx-pin"] ?? "")
        var response = try describe(info, call)
        // What to call the file: the request has no key.
        response.headers.set("x-cyx-key", PercentEncoding.encode(info.key, keepingSlashes: true))
        return response
    }

    func deletePin(_ call: Call) async throws -> HTTPResponse {
        try await call.service.unpin(call.query["cyx-pin"] ?? "")
        return HTTPResponse(status: 204)
    }
}
