/// When this connection's keys are updated (RFC 9001 §6).
extension Connection {
    var keyRetention: Int64 {
        PacketKeys.retentionProbeTimeouts
            * roundTrip.probeTimeout(maximumAcknowledgmentDelay: peerAckDelayMax)
    }

    mutating func maintainKeys(now: Int64) {
        guard let deadline = keys?.deadline, now >= deadline else { return }
        let retention = keyRetention
        keys?.maintain(now: now, retention: retention)
        // An update always leaves something to maintain.
        if let updates = keys?.updates, updates > reportedKeyUpdates {
            reportedKeyUpdates = updates
            events.append(.keysUpdated)
        }
    }

    /// Updates keys that sealed enough packets; false if they sealed too many and the connection
    /// is over.
    mutating func updateKeys(now: Int64) -> Bool {
        maintainKeys(now: now)
        guard let sealed = keys?.sealedCount, sealed >= limits.packetsPerKey else { return true }
        if isConfirmed, keys?.mayUpdate(now: now, retention: keyRetention) == true {
            keys?.update(now: now)
        } else if sealed >= PacketKeys.packetsPerKeyMax {
            close(.local(.aeadLimit), telling: nil)
            return false
        }
        return true
    }
}
