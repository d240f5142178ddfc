internal import CyxCore

/// Requests and responses as they arrive on streams.
extension MessagingMachine {
    mutating func readable(_ id: RequestID, _ now: Int64) {
        guard let stream = endpoint[id.connection]?.snapshot(id.stream) else { return }
        if let call = links[id.connection]?.outgoing[id.stream] {
            readResponse(call, id, stream, now: now)
        } else if !stream.isAnswered {
            readRequest(id, stream, now: now)
        } else {
            // An answered request, or a call that was given up.
            endpoint[id.connection]?.consume(id.stream, now: now)
            endpoint[id.connection]?.finishIfDone(id.stream)
        }
    }

    /// The header, once it is there and within bounds; nil also after giving the stream up.
    private mutating func header(
        _ id: RequestID, _ stream: StreamSnapshot, now: Int64
    ) -> RPCHeader? {
        guard let word = stream.header, let header = RPCHeader(word: word) else {
            if stream.header != nil { giveUp(id, RPCStreamCode.malformed, now: now) }
            return nil
        }
        guard header.length <= PeerMessagingLimits.messageBytes else {
            giveUp(id, RPCStreamCode.tooLarge, now: now)
            return nil
        }
        return header
    }

    private mutating func giveUp(_ id: RequestID, _ code: UInt64, now: Int64) {
        endpoint[id.connection]?.resetStream(id.stream, code: code)
        endpoint[id.connection]?.stopStream(id.stream, code: code, now: now)
    }

    private mutating func readResponse(
        _ call: CallID, _ id: RequestID, _ stream: StreamSnapshot, now: Int64
    ) {
        if let code = stream.resetCode {
            links[id.connection]?.outgoing[id.stream] = nil
            endpoint[id.connection]?.consume(id.stream, now: now)
            endpoint[id.connection]?.resetStream(id.stream, code: RPCStreamCode.cancelled)
            endpoint[id.connection]?.finishIfDone(id.stream)
            let error: RPCError = code == RPCStreamCode.tooLarge ? .tooLarge : .connectionLost
            return complete(call, .failure(error))
        }
        guard let header = header(id, stream, now: now) else {
            endpoint[id.connection]?.consume(id.stream, now: now)
            let stream = endpoint[id.connection]?.snapshot(id.stream)
            // Given up, or ended before its header.
            guard let stream, !stream.isStopped, !stream.isComplete else {
                links[id.connection]?.outgoing[id.stream] = nil
                giveUp(id, RPCStreamCode.malformed, now: now)
                return complete(call, .failure(.connectionLost))
            }
            return
        }
        endpoint[id.connection]?.grant(id.stream, length: header.length)
        endpoint[id.connection]?.consume(id.stream, now: now)
        guard let body = endpoint[id.connection]?.take(id.stream) else { return }
        links[id.connection]?.outgoing[id.stream] = nil
        complete(call, result(header, body))
    }

    private func result(_ header: RPCHeader, _ body: [UInt8]) -> Result<[UInt8], RPCError> {
        guard body.count == header.length else { return .failure(.connectionLost) }
        switch header.code {
        case RPCStatus.success: return .success(body)
        case RPCStatus.refused:
            guard let failure = RPCFailure(encoded: body) else {
                return .failure(.connectionLost)
            }
            return .failure(.refused(failure))
        default: return .failure(.connectionLost)
        }
    }

    private mutating func readRequest(
        _ id: RequestID, _ stream: StreamSnapshot, now: Int64
    ) {
        if stream.resetCode != nil {
            release(id)
            endpoint[id.connection]?.consume(id.stream, now: now)
            endpoint[id.connection]?.resetStream(id.stream, code: RPCStreamCode.cancelled)
            endpoint[id.connection]?.finishIfDone(id.stream)
            return grantReservations(now: now)
        }
        // A repeated packet of a request whose handler runs.
        if stream.isTaken {
            endpoint[id.connection]?.consume(id.stream, now: now)
            return
        }
        guard let header = header(id, stream, now: now) else {
            endpoint[id.connection]?.consume(id.stream, now: now)
            if stream.isComplete {
                giveUp(id, RPCStreamCode.malformed, now: now)
            }
            return
        }
        reserve(id, header.length, now: now)
        endpoint[id.connection]?.consume(id.stream, now: now)
        guard let body = endpoint[id.connection]?.take(id.stream) else { return }
        release(id)
        grantReservations(now: now)
        guard body.count == header.length, let link = links[id.connection],
            let peer = link.peer
        else { return giveUp(id, RPCStreamCode.malformed, now: now) }
        links[id.connection]?.running += 1
        outputs.append(
            .request(
                id, PeerContact(peer: peer, address: link.address),
                RPCMethod(rawValue: header.code), body))
    }

    // MARK: Memory for requests that arrive

    private mutating func reserve(_ id: RequestID, _ length: Int, now: Int64) {
        guard endpoint[id.connection]?.streams[id.stream]?.isGranted == false else { return }
        // What the first window holds needs no reservation.
        if length < Int(endpoint.configuration.limits.streamWindow) / 2 {
            endpoint[id.connection]?.grant(id.stream, length: length)
        } else if reservedBytes + length <= MessagingMachine.incomingBytesMax {
            reservedBytes += length
            links[id.connection]?.reserved[id.stream] = length
            endpoint[id.connection]?.grant(id.stream, length: length)
        } else if !reservationQueue.contains(id) {
            reservationQueue.append(id)
        }
    }

    private mutating func release(_ id: RequestID) {
        if let length = links[id.connection]?.reserved.removeValue(forKey: id.stream) {
            reservedBytes -= length
        }
        reservationQueue.removeAll { $0 == id }
    }

    /// Lets requests go on that waited for memory.
    mutating func grantReservations(now: Int64) {
        while let id = reservationQueue.first {
            guard let word = endpoint[id.connection]?.snapshot(id.stream)?.header,
                let header = RPCHeader(word: word)
            else {
                reservationQueue.removeFirst()
                continue
            }
            guard reservedBytes + header.length <= MessagingMachine.incomingBytesMax else {
                return
            }
            reservationQueue.removeFirst()
            reserve(id, header.length, now: now)
            endpoint[id.connection]?.consume(id.stream, now: now)
        }
    }
}
