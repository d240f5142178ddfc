/// What the owner of a connection does with streams.
extension Connection {
    /// Opens a stream that carries one message; nil while the peer allows no more
    /// (`streamsAvailable` follows).
    mutating func open(header: UInt64, body: [UInt8], now: Int64) -> StreamID? {
        lastUse = now
        return streams.open(header: header, body: body)
    }

    /// Answers a stream that the peer opened; false if it is gone.
    mutating func answer(_ id: StreamID, header: UInt64, body: [UInt8], now: Int64) -> Bool {
        lastUse = now
        guard streams.answer(id, header: header, body: body) else { return false }
        return true
    }

    /// Takes in whatever of a message comes from now on, `length` bytes of body being expected.
    mutating func grant(_ id: StreamID, length: Int) {
        if streams.grant(id, length: length) { control.add(.maxStreamData(id)) }
    }

    /// Counts what arrived of a granted message as consumed, which renews the peer's credit.
    mutating func consume(_ id: StreamID, now: Int64) {
        let trip = roundTrip.smoothed
        let (bytes, wantsUpdate) = streams.consume(id, now: now, roundTrip: trip)
        if wantsUpdate { control.add(.maxStreamData(id)) }
        guard bytes > 0 else { return }
        dataConsumed += bytes
        if receiveWindow.update(consumed: dataConsumed, now: now, roundTrip: trip) {
            control.add(.maxData)
        }
    }

    mutating func snapshot(_ id: StreamID) -> StreamSnapshot? { streams.snapshot(id) }

    /// The body of a complete message.
    mutating func take(_ id: StreamID) -> [UInt8]? {
        guard let stream = streams.snapshot(id), stream.isComplete, !stream.isTaken else {
            return nil
        }
        let body = streams[id]?.receive.take()
        finishIfDone(id)
        return body
    }

    /// Stops sending on a stream (RESET_STREAM).
    mutating func resetStream(_ id: StreamID, code: UInt64) {
        if streams[id] != nil, streams[id]?.send == nil {
            // Nothing was said yet: say that nothing will be.
            _ = streams.answer(id, header: 0, body: [])
        }
        guard streams[id]?.send?.reset(code: code) == true else { return }
        control.add(.resetStream(id))
    }

    /// Asks the peer to stop sending on a stream (STOP_SENDING) and drops what arrived.
    mutating func stopStream(_ id: StreamID, code: UInt64, now: Int64) {
        if streams[id]?.receive.stop(code: code) == true { control.add(.stopSending(id)) }
        consume(id, now: now)
        finishIfDone(id)
    }

    mutating func finishIfDone(_ id: StreamID) {
        if streams.removeIfFinished(id) { control.add(.maxStreams) }
    }
}
