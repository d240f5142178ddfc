/// The congestion controllers to choose from.
package enum CongestionAlgorithm: String, Sendable, CaseIterable {
    /// RFC 9438. Shares a bottleneck with TCP as the Internet expects it to.
    case cubic
    /// draft-ietf-ccwg-bbr. Follows the measured bandwidth: far faster where packets are lost for
    /// other reasons than congestion, and with short queues.
    case bbr
}

/// What one ACK frame said, as far as congestion control cares.
struct AckedPackets: Sendable {
    /// Of packets in flight.
    var bytes: Int
    /// When the latest of them was sent.
    var latestSent: Int64
    /// The largest packet number acknowledged, and the next to be sent.
    var largest: UInt64
    var nextNumber: UInt64
    var now: Int64
    /// In nanoseconds: the sample of this ACK, the smoothed one, the least one.
    var roundTrip: RoundTripTime
    /// What remains in flight, in bytes.
    var bytesInFlight: Int
    /// The sender had no more to send than it sent.
    var isApplicationLimited: Bool
    /// The window held the sender back within the last round trip.
    var isWindowLimited: Bool
    /// What BBR goes by; nil for the others.
    var delivery: DeliverySample?
}

/// Decides how much may be in flight and how fast it leaves.
struct CongestionController: Sendable {
    /// An enum and no existential, so that nothing is allocated.
    private enum Algorithm: Sendable {
        case cubic(Cubic)
        case bbr(BBR)

        var window: Int {
            switch self {
            case .cubic(let cubic): cubic.window
            case .bbr(let bbr): bbr.window
            }
        }
    }

    private var algorithm: Algorithm {
        didSet { window = algorithm.window }
    }
    /// Bytes that may be in flight. Kept beside the algorithm, since every packet asks, and to look
    /// into an enum of such values copies them.
    private(set) var window: Int

    init(_ algorithm: CongestionAlgorithm, packetSize: Int, seed: UInt64) {
        self.algorithm =
            switch algorithm {
            case .cubic: .cubic(Cubic(packetSize: packetSize))
            case .bbr: .bbr(BBR(packetSize: packetSize, seed: seed))
            }
        window = self.algorithm.window
    }

    /// Changes with the size of the path's datagrams.
    var packetSize: Int {
        get {
            switch algorithm {
            case .cubic(let cubic): cubic.packetSize
            case .bbr(let bbr): bbr.packetSize
            }
        }
        set {
            switch algorithm {
            case .cubic(var cubic):
                cubic.packetSize = newValue
                algorithm = .cubic(cubic)
            case .bbr(var bbr):
                bbr.packetSize = newValue
                algorithm = .bbr(bbr)
            }
        }
    }

    var isInSlowStart: Bool {
        switch algorithm {
        case .cubic(let cubic): cubic.isInSlowStart
        case .bbr(let bbr): bbr.state == .startup
        }
    }

    /// In bytes per second, at which `Pacer` lets packets go.
    func pacingRate(smoothedRoundTrip: Int64) -> Double {
        switch algorithm {
        case .cubic(let cubic): cubic.pacingRate(smoothedRoundTrip: smoothedRoundTrip)
        case .bbr(let bbr): bbr.pacingRate
        }
    }

    /// Packets are sent while none were in flight, after a pause for want of data.
    @inline(never)
    mutating func restarted(now: Int64) {
        guard case .bbr(var bbr) = algorithm else { return }
        bbr.restarted(now: now)
        algorithm = .bbr(bbr)
    }

    /// After the losses that the same ACK frame revealed (RFC 9002 A.7).
    mutating func acknowledged(_ acked: AckedPackets) {
        switch algorithm {
        case .cubic(var cubic):
            cubic.acknowledged(acked)
            algorithm = .cubic(cubic)
        case .bbr(var bbr):
            bbr.acknowledged(acked)
            algorithm = .bbr(bbr)
        }
    }

    /// One packet was lost; `delivery` is what BBR noted when it was sent.
    mutating func packetLost(
        bytes: Int, _ delivery: DeliveryRecord, lostInAll: Int, now: Int64
    ) {
        guard case .bbr(var bbr) = algorithm else { return }
        bbr.packetLost(bytes: bytes, delivery, lostInAll: lostInAll, now: now)
        algorithm = .bbr(bbr)
    }

    /// Packets were lost, the latest of them sent at `timeSent`; or one sent then came back with
    /// the mark of congestion (ECN-CE).
    mutating func congested(timeSent: Int64, now: Int64) {
        guard case .cubic(var cubic) = algorithm else { return }
        cubic.lost(timeSent: timeSent, now: now)
        algorithm = .cubic(cubic)
    }

    /// Everything sent over several probe timeouts was lost (RFC 9002 §7.6.2).
    mutating func persistentCongestion() {
        switch algorithm {
        case .cubic(var cubic):
            cubic.persistentCongestion()
            algorithm = .cubic(cubic)
        case .bbr(var bbr):
            bbr.persistentCongestion()
            algorithm = .bbr(bbr)
        }
    }
}
