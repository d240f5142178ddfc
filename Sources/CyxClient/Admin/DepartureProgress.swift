package import CyxCore

/// How far a peer is with giving away what it holds: `GET /api/v1/departure` of its admin API.
package struct DepartureProgress: Sendable, Equatable {
    /// `staying`, `handing_over`, `handed_over` or `stuck`.
    package var phase: String
    package var shards: Int64
    package var shardsLeft: Int64
    package var bytes: UInt64
    package var bytesHandedOver: UInt64
    /// Partitions whose rows others still need from it.
    package var partitionsLeft: Int64
    package var problem: String?

    package var isDone: Bool { phase == "handed_over" }

    init(_ response: HTTPResponse) throws(ClientError) {
        do {
            try self.init(JSONValue(parsing: response.body))
        } catch let error as ClientError {
            throw error
        } catch {
            throw DepartureProgress.malformed
        }
    }

    package init(_ json: JSONValue) throws(ClientError) {
        guard let phase = json["phase"]?.text, let shards = json["shards"]?.integer,
            let left = json["shards_left"]?.integer, let bytes = json["bytes"]?.integer,
            let moved = json["bytes_handed_over"]?.integer,
            let partitions = json["partitions_left"]?.integer
        else { throw DepartureProgress.malformed }
        self.phase = phase
        self.shards = shards
        shardsLeft = left
        self.bytes = UInt64(max(0, bytes))
        bytesHandedOver = UInt64(max(0, moved))
        partitionsLeft = partitions
        problem = json["problem"]?.text
    }

    private static var malformed: ClientError {
        ClientError(
            code: "NET-09", message: "the peer's departure has no usable fields",
            remedy: "check that cyxcloud and cyxpeer are of one version")
    }
}
