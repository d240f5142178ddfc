import CyxCore
import CyxS3

@testable import CyxClient

/// What a gateway or a peer answers to the command line.
let clientTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "s3-answer", bytesMax: 4096,
        seeds: {
            [
                utf8(
                    "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%20b</Key>"
                        + "<Size>3</Size></Contents></ListBucketResult>"),
                utf8("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>"),
            ]
        },
        decode: { bytes in
            let response = HTTPResponse(
                status: 200, headers: ["content-length": bytes.asText], body: bytes,
                byteCount: UInt64(bytes.count))
            _ = RemoteObject(key: "k", response: response)
            let error = ClientError.s3(response, operation: "Get", bucket: "b", key: "k")
            try BrokenProperty.check(!"\(error)".isEmpty, "an error without words")
            let document = try taken(ClientError.self) {
                try S3Client.document(response, "ListBucketResult")
            }
            return document != nil || response.document?.name == "Error"
        }),
    FuzzTarget(
        name: "peer-status", bytesMax: 4096,
        seeds: {
            [
                utf8(
                    #"{"peer":"p","network":"n","version":"v","health":"green","sentence":"s","#
                        + #""peers":{"alive":1,"suspect":0,"dead":0},"redundancy":"rs(1,2)","#
                        + #""survives":2,"tables":{"partitions":1,"full":1,"unavailable":0,"#
                        + #""changing":0,"epoch":1,"lag_seconds":0,"survives":2},"#
                        + #""data_survives":2,"#
                        + #""zones":{"a":1},"segments":{"b":2},"store":{"c":3}}"#)
            ]
        },
        decode: { bytes in
            guard let json = try taken(JSONError.self, { try JSONValue(parsing: bytes) }) else {
                return false
            }
            let status = try taken(ClientError.self) { try PeerStatus(json) }
            _ = status?.isWhole(peers: 1)
            return status != nil
        }),
    FuzzTarget(
        name: "endpoint-url", bytesMax: 256,
        seeds: { ["http://127.0.0.1:80", "https://h:443/", "localhost"].map(utf8) },
        decode: { bytes in
            guard let endpoint = Endpoint(bytes.asText) else { return false }
            try BrokenProperty.check(
                Endpoint(endpoint.url) == endpoint, "\(endpoint.url) is another endpoint")
            return true
        }),
]
