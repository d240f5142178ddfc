internal import CyxCore

/// What a traced connection tells its trace. Without one, nothing here is called.
extension Connection {
    /// Begins a trace; the connection is about to be taken in by an endpoint.
    mutating func beginTrace(wall: WallTime, now: Int64) {
        trace = QlogTrace(
            firstID: originalDestination, role: role, wall: wall, now: now)
    }

    func traceEstablished(now: Int64) {
        guard let trace else { return }
        trace.started(local: localID, remote: remoteID, address: address, now: now)
        traceState(now: now)
    }

    /// Not inlined, so that what it reads is copied for traced connections alone.
    @inline(never)
    func traceState(now: Int64) {
        guard let trace else { return }
        let metrics = QlogState.Metrics(
            minimum: roundTrip.minimum, smoothed: roundTrip.smoothed, latest: roundTrip.latest,
            variance: roundTrip.variance, probes: probeCount, window: congestion.window,
            bytesInFlight: sent.bytesInFlight)
        trace.update(
            QlogState(
                metrics: metrics, keyUpdates: keys?.updates ?? 0, mtu: path.datagramSize,
                address: address, isValidated: path.isValidated), now: now)
    }
}

extension Endpoint {
    /// The records of all traces since the last time.
    mutating func drainTraces(_ body: (QlogBatch) -> Void) {
        guard isTraced else { return }
        for batch in endedTraces { body(batch) }
        endedTraces = []
        for slot in slots {
            if let batch = slot.connection?.trace?.take(isLast: false) { body(batch) }
        }
    }
}
