internal import CyxS3

/// A version that a gateway's account keeps.
package struct RemotePin: Sendable, Equatable {
    package var id: String
    package var bucket: String
    package var key: String
    package var size: UInt64
    package var etag: String
    /// RFC 3339.
    package var created: String
    /// When it ends by itself; nil: never.
    package var until: String?
}

/// Pins are no part of S3: only gateways of ours have them.
extension S3Client {
    /// Keeps the version that the key has now. `seconds`: for how long; nil: until it is removed.
    package func pin(
        bucket: String, key: String, seconds: Int64?
    ) async throws(ClientError) -> RemotePin {
        var request = S3Request("CreatePin", "POST", bucket: bucket, key: key)
        request.query = [("cyx-pin", "")]
        if let seconds { request.query.append(("seconds", String(seconds))) }
        return try Self.pin(try Self.document(try await send(request), "CreatePinResult"))
    }

    package func pins() async throws(ClientError) -> [RemotePin] {
        var pins: [RemotePin] = []
        var marker: String?
        repeat {
            var request = S3Request("ListPins", "GET", bucket: nil)
            request.query = [("cyx-pins", "")]
            if let marker { request.query.append(("marker", marker)) }
            let document = try Self.document(try await send(request), "ListPinsResult")
            for item in document.children(named: "Pin") { pins.append(try Self.pin(item)) }
            let next = document.text(of: "NextMarker")
            marker = next == marker ? nil : next
        } while marker != nil
        return pins
    }

    private static func pin(_ item: XMLElement) throws(ClientError) -> RemotePin {
        guard let id = item.text(of: "Id"), let size = UInt64(item.text(of: "Size") ?? ""),
            let key = PercentEncoding.decodeText(item.text(of: "Key") ?? "")
        else { throw .malformed("ListPinsResult") }
        return RemotePin(
            id: id, bucket: item.text(of: "Bucket") ?? "", key: key, size: size,
            etag: unquoted(item.text(of: "ETag") ?? ""), created: item.text(of: "Created") ?? "",
            until: item.text(of: "Until"))
    }

    /// The version that a pin keeps, by the name of the key that it had.
    package func head(pin id: String) async throws(ClientError) -> RemoteObject {
        var request = S3Request("HeadPin", "HEAD", bucket: nil)
        request.query = [("cyx-pin", id)]
        let response: HTTPResponse
        do throws(ClientError) { response = try await send(request) } catch {
            guard error.status == 404 else { throw error }
            throw ClientError(
                code: "NoSuchPin", message: "the account has no pin \(id)",
                cause: "it was removed, or its time is over", remedy: "cyxcloud pin list",
                status: 404)
        }
        let key = response.headers["x-cyx-key"].flatMap { PercentEncoding.decodeText($0) }
        return RemoteObject(key: key ?? id, response: response)
    }

    package func unpin(_ id: String) async throws(ClientError) {
        var request = S3Request("DeletePin", "DELETE", bucket: nil)
        request.query = [("cyx-pin", id)]
        _ = try await send(request)
    }
}
