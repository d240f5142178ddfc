internal import CWslay
internal import CyxCore

/// One end of a WebSocket connection (RFC 6455) as a machine: bytes in, messages out, and the
/// reverse. It answers pings and the closing handshake itself, and refuses what a server must refuse:
/// frames without a mask, reserved bits, broken UTF-8, messages that are too long.
///
/// One owner at a time: wslay calls back into it from within its own calls.
package final class WebSocketCodec {
    package enum Event: Equatable, Sendable {
        case text(String)
        case binary([UInt8])
        case pong
        /// The client closes; 1005 where it gave no code (RFC 6455 §7.1.5).
        case close(code: UInt16)
    }

    /// Why a connection is closed (RFC 6455 §7.4.1 and its registry).
    package enum Code: UInt16, Sendable {
        case normal = 1000
        case goingAway = 1001
        case policy = 1008
        case failed = 1011
        case tryAgainLater = 1013
    }

    private static let emptyCode: UInt16 = 1005
    /// Text in a close frame, whose payload holds 125 bytes with the code (RFC 6455 §5.5).
    private static let reasonBytesMax = 123

    private var context: wslay_event_context_ptr?
    fileprivate var incoming: ArraySlice<UInt8> = []
    fileprivate var outgoing: [UInt8] = []
    fileprivate var events: [Event] = []
    private var isBroken = false

    /// `messageBytesMax`: of what a client sends; a longer message closes with 1009.
    package init(messageBytesMax: UInt64) {
        var callbacks = wslay_event_callbacks()
        callbacks.recv_callback = receiveBytes
        callbacks.send_callback = sendBytes
        callbacks.on_msg_recv_callback = receiveMessage
        let code = wslay_event_context_server_init(
            &context, &callbacks, Unmanaged.passUnretained(self).toOpaque())
        precondition(code == 0, "wslay has no memory for a connection")
        wslay_event_config_set_max_recv_msg_length(context, messageBytesMax)
    }

    deinit { wslay_event_context_free(context) }

    /// Takes bytes of the client; returns what they complete.
    package func receive(_ bytes: [UInt8]) -> [Event] {
        incoming += bytes
        if wslay_event_recv(context) != 0 { isBroken = true }
        // What comes behind a close is nobody's.
        if wslay_event_want_read(context) == 0 { incoming = [] }
        defer { events = [] }
        return events
    }

    package func send(_ text: String) { queue(WSLAY_TEXT_FRAME, Array(text.utf8)) }

    package func ping() { queue(WSLAY_PING, []) }

    /// Begins the closing handshake; nothing is sent behind it.
    package func close(_ code: Code, _ reason: String) {
        let bytes = Array(reason.utf8.prefix(WebSocketCodec.reasonBytesMax))
        _ = wslay_event_queue_close(context, code.rawValue, bytes, bytes.count)
    }

    private func queue(_ opcode: wslay_opcode, _ payload: [UInt8]) {
        payload.withUnsafeBufferPointer { payload in
            var message = wslay_event_msg()
            message.opcode = UInt8(opcode.rawValue)
            message.msg = payload.baseAddress
            message.msg_length = payload.count
            // It fails once a close was queued, and then nobody hears it anyway.
            _ = wslay_event_queue_msg(context, &message)
        }
    }

    /// What is to be sent to the client by now.
    package func takeOutput() -> [UInt8] {
        if wslay_event_want_write(context) != 0, wslay_event_send(context) != 0 { isBroken = true }
        defer { outgoing = [] }
        return outgoing
    }

    /// Whether nothing can come or go any more, once the output is taken.
    package var isOver: Bool {
        isBroken || wslay_event_want_read(context) == 0 && wslay_event_want_write(context) == 0
    }

    /// Messages, with the answers to pings, that wait to be taken.
    package var queuedMessages: Int { wslay_event_get_queued_msg_count(context) }

    fileprivate func received(_ message: wslay_event_on_msg_recv_arg) {
        let payload = UnsafeBufferPointer(start: message.msg, count: message.msg_length)
        switch UInt32(message.opcode) {
        case WSLAY_TEXT_FRAME.rawValue:
            events.append(.text(String(decoding: payload, as: UTF8.self)))
        case WSLAY_BINARY_FRAME.rawValue: events.append(.binary(Array(payload)))
        case WSLAY_PONG.rawValue: events.append(.pong)
        case WSLAY_CONNECTION_CLOSE.rawValue:
            // wslay checks that the reason is UTF-8 (RFC 6455 §5.5.1) where the frame comes at once.
            // One in pieces it answers whatever it says: that is told nobody either.
            guard String(validating: payload.dropFirst(2), as: UTF8.self) != nil else { return }
            let code = message.status_code == 0 ? WebSocketCodec.emptyCode : message.status_code
            events.append(.close(code: code))
        default: break
        }
    }
}

private func codec(_ context: UnsafeMutableRawPointer?) -> WebSocketCodec? {
    context.map { Unmanaged<WebSocketCodec>.fromOpaque($0).takeUnretainedValue() }
}

private func receiveBytes(
    _ context: wslay_event_context_ptr?, _ buffer: UnsafeMutablePointer<UInt8>?, _ capacity: Int,
    _ flags: Int32, _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let codec = codec(user), let buffer, !codec.incoming.isEmpty else {
        wslay_event_set_error(context, Int32(WSLAY_ERR_WOULDBLOCK.rawValue))
        return -1
    }
    let piece = codec.incoming.prefix(capacity)
    for (index, byte) in piece.enumerated() { buffer[index] = byte }
    codec.incoming = codec.incoming.dropFirst(piece.count)
    return piece.count
}

private func sendBytes(
    _ context: wslay_event_context_ptr?, _ bytes: UnsafePointer<UInt8>?, _ count: Int,
    _ flags: Int32, _ user: UnsafeMutableRawPointer?
) -> Int {
    codec(user)?.outgoing.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
    return count
}

private func receiveMessage(
    _ context: wslay_event_context_ptr?, _ message: UnsafePointer<wslay_event_on_msg_recv_arg>?,
    _ user: UnsafeMutableRawPointer?
) {
    if let message { codec(user)?.received(message.pointee) }
}
