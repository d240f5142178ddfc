internal import CyxCore

/// Frames as draft-ietf-quic-qlog-quic-events writes them.
enum QlogFrames {
    /// The frames of a plaintext, up to what cannot be decoded.
    static func decoded(_ payload: UnsafeRawBufferPointer) -> [JSONValue] {
        var decoder = FrameDecoder(payload)
        var frames: [JSONValue] = []
        do throws(TransportError) {
            while let frame = try decoder.next() { frames.append(value(frame)) }
        } catch {
            frames.append(named("unknown", []))
        }
        return frames
    }

    private static func named(
        _ type: String, _ fields: [(key: String, value: JSONValue)]
    ) -> JSONValue {
        .object([("frame_type", .string(type))] + fields)
    }

    private static func value(_ frame: Frame) -> JSONValue {
        switch frame {
        case .padding: return named("padding", [])
        case .ping: return named("ping", [])
        case .acknowledgment(let ack): return value(ack)
        case .resetStream(let id, let code, let size):
            return named(
                "reset_stream",
                [
                    ("stream_id", .count(id.value)), ("error_code", .count(code)),
                    ("final_size", .count(size)),
                ])
        case .stopSending(let id, let code):
            return named(
                "stop_sending", [("stream_id", .count(id.value)), ("error_code", .count(code))])
        case .stream(let stream):
            return named(
                "stream",
                [
                    ("stream_id", .count(stream.id.value)), ("offset", .count(stream.offset)),
                    ("length", .integer(Int64(stream.data.count))), ("fin", .bool(stream.isFinal)),
                ])
        case .maxData(let limit): return named("max_data", [("maximum", .count(limit))])
        case .maxStreamData(let id, let limit):
            return named(
                "max_stream_data", [("stream_id", .count(id.value)), ("maximum", .count(limit))])
        case .maxStreams(let limit):
            return named(
                "max_streams",
                [("stream_type", .string("bidirectional")), ("maximum", .count(limit))])
        case .blocked: return named("data_blocked", [])
        case .newConnectionID(let issued):
            return named(
                "new_connection_id",
                [
                    ("sequence_number", .count(issued.sequence)),
                    ("retire_prior_to", .count(issued.retirePriorTo)),
                    ("connection_id", .string(Hex.encode(issued.id.value.bigEndianBytes))),
                ])
        case .retireConnectionID(let sequence):
            return named("retire_connection_id", [("sequence_number", .count(sequence))])
        case .pathChallenge(let data): return path("path_challenge", data)
        case .pathResponse(let data): return path("path_response", data)
        case .connectionClose(let code):
            return named(
                "connection_close",
                [("error_space", .string("transport")), ("error_code", .count(code))])
        case .handshakeDone: return named("handshake_done", [])
        case .datagram(let bytes):
            return named("datagram", [("length", .integer(Int64(bytes.count)))])
        }
    }

    private static func path(_ type: String, _ data: UInt64) -> JSONValue {
        named(type, [("data", .string(Hex.encode(data.bigEndianBytes)))])
    }

    private static func value(_ ack: AckFrame) -> JSONValue {
        var ranges: [JSONValue] = []
        do throws(TransportError) {
            try ack.forEachRange {
                ranges.append(.array([.count($0.lowerBound), .count($0.upperBound)]))
            }
        } catch {
            // Checked when the frame was decoded.
        }
        return named(
            "ack", [("ack_delay", .milliseconds(ack.delay)), ("acked_ranges", .array(ranges))])
    }
}
