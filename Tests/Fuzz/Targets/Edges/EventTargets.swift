import CyxCore
import CyxHTTP

@testable import CyxGateway

/// What clients of the events send: frames, and commands in JSON.
let eventTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "websocket",
        trials: 1000,
        seeds: {
            let hello: [UInt8] = [
                0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
            ]
            let ping: [UInt8] = [0x89, 0x80, 1, 2, 3, 4]
            let begin: [UInt8] = [0x01, 0x82, 0, 0, 0, 0, 0x61, 0xC3]
            let end: [UInt8] = [0x80, 0x81, 0, 0, 0, 0, 0xBC]
            let close: [UInt8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]
            return [
                hello, hello + ping + hello, begin + ping + end + hello, hello + close,
                [0x8A, 0x80, 0, 0, 0, 0],
            ]
        },
        decode: { bytes in
            let limit: UInt64 = 512
            let whole = WebSocketCodec(messageBytesMax: limit)
            let events = whole.receive(bytes)
            let output = whole.takeOutput()
            let parts = WebSocketCodec(messageBytesMax: limit)
            var pieces: [WebSocketCodec.Event] = []
            var piecesOutput: [UInt8] = []
            for byte in bytes {
                pieces += parts.receive([byte])
                piecesOutput += parts.takeOutput()
            }
            try BrokenProperty.check(events == pieces, "frames depend on how they are cut")
            if whole.isOver, !parts.isOver {
                // Why the client closes was no UTF-8, which is known of pieces once all are there.
                _ = parts.receive([UInt8](repeating: 0, count: 125))
                _ = parts.takeOutput()
            }
            try BrokenProperty.check(whole.isOver == parts.isOver, "the end depends on it")
            // A pong has the bytes of its ping, and a close frame follows once at most.
            try BrokenProperty.check(
                output.count <= 2 * bytes.count + 130
                    && piecesOutput.count <= 2 * bytes.count + 130,
                "answers are longer than what was asked")
            for case .text(let text) in events {
                try BrokenProperty.check(
                    text.utf8.count <= Int(limit), "a message that is too long")
            }
            return !events.isEmpty
        }),
    FuzzTarget(
        name: "event-command",
        seeds: {
            [
                utf8(#"{"subscribe":"objects","bucket":"b","prefix":"p/","after":"1f-22"}"#),
                utf8(#"{"subscribe":"metrics","seconds":30}"#),
                utf8(#"{"unsubscribe":"notifications"}"#),
            ]
        },
        decode: { bytes in
            let command = try taken(EventCommand.Fault.self) { try EventCommand(bytes.asText) }
            guard case .subscribe(let stream, let after, let seconds)? = command else {
                return command != nil
            }
            try BrokenProperty.check(EventCommand.secondsRange.contains(seconds), "\(seconds) s")
            if case .objects(let bucket, _) = stream {
                try BrokenProperty.check(!bucket.isEmpty, "no bucket")
            }
            if let after, let position = EventPosition(after) {
                try BrokenProperty.check(
                    EventPosition(position.text) == position, "another position")
            }
            return true
        }),
]
