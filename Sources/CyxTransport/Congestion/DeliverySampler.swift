/// What was known of deliveries when a packet was sent
/// (draft-cheng-iccrg-delivery-rate-estimation §3.2).
struct DeliveryRecord: Sendable {
    /// Bytes delivered until then, and when the last of them were.
    var delivered = 0
    var deliveredTime: Int64 = 0
    /// When the first packet of the flight was sent.
    var firstSentTime: Int64 = 0
    /// Bytes lost until then.
    var lost = 0
    /// Bytes in flight with this packet.
    var inFlight = 0
    var isApplicationLimited = false
}

/// A measurement of the rate at which the path delivers.
struct DeliverySample: Sendable {
    /// Bytes per second; nil if the interval was too short to tell.
    var rate: Double?
    /// Bytes delivered within the sample's interval, and in all until the acknowledged packet was
    /// sent, and in all.
    var delivered: Int
    var priorDelivered: Int
    var deliveredInAll: Int
    /// Bytes in flight when the packet was sent, and lost since.
    var inFlight: Int
    var lost: Int
    var isApplicationLimited: Bool
    /// Bytes acknowledged and lost by this ACK.
    var newlyAcked: Int
    var newlyLost: Int
}

/// Estimates the delivery rate (draft-cheng-iccrg-delivery-rate-estimation): of each ACK the bytes
/// delivered since the packet was sent that it acknowledges, over the longer of the times that
/// they took to send and to be acknowledged.
struct DeliverySampler: Sendable {
    private(set) var delivered = 0
    private(set) var lost = 0
    private var deliveredTime: Int64 = 0
    private var firstSentTime: Int64 = 0
    /// Samples are application limited until this much is delivered.
    private var limitedUntil = 0

    // The ACK that is being taken in.
    private var newest: DeliveryRecord?
    private var newestSent: Int64 = 0
    private var ackedBefore = 0
    private var lostBefore = 0

    /// Notes the state with a packet that is sent, `inFlight` bytes being in flight before it.
    mutating func sent(bytes: Int, inFlight: Int, now: Int64) -> DeliveryRecord {
        if inFlight == 0 {
            firstSentTime = now
            deliveredTime = now
        }
        return DeliveryRecord(
            delivered: delivered, deliveredTime: deliveredTime, firstSentTime: firstSentTime,
            lost: lost, inFlight: inFlight + bytes,
            isApplicationLimited: limitedUntil > delivered)
    }

    /// The sender has nothing to send though it might.
    mutating func applicationLimited(inFlight: Int) {
        limitedUntil = max(1, delivered + inFlight)
    }

    mutating func acknowledged(_ record: DeliveryRecord, bytes: Int, timeSent: Int64, now: Int64) {
        // Sent on another path, before this one was taken.
        guard record.delivered <= delivered else { return }
        delivered += bytes
        deliveredTime = now
        // The newest packet's record describes the latest flight.
        guard
            newest.map({ (timeSent, record.delivered) >= (newestSent, $0.delivered) }) ?? true
        else { return }
        newest = record
        newestSent = timeSent
    }

    mutating func lost(bytes: Int) { lost += bytes }

    /// The sample of one ACK frame, after `acknowledged` for each packet in it; nil if it
    /// acknowledged none. `minimumRoundTrip` is in nanoseconds.
    mutating func takeSample(minimumRoundTrip: Int64) -> DeliverySample? {
        defer {
            newest = nil
            ackedBefore = delivered
            lostBefore = lost
        }
        guard let newest else { return nil }
        firstSentTime = newestSent
        let bytes = delivered - newest.delivered
        let sendTime = newestSent - newest.firstSentTime
        let ackTime = deliveredTime - newest.deliveredTime
        let interval = max(sendTime, ackTime)
        // Compressed acknowledgments make intervals shorter than any round trip (§4.3).
        let isUsable = interval > 0 && interval >= minimumRoundTrip
        return DeliverySample(
            rate: isUsable ? Double(bytes) * 1e9 / Double(interval) : nil, delivered: bytes,
            priorDelivered: newest.delivered, deliveredInAll: delivered,
            inFlight: newest.inFlight, lost: lost - newest.lost,
            isApplicationLimited: newest.isApplicationLimited,
            newlyAcked: delivered - ackedBefore, newlyLost: lost - lostBefore)
    }
}
