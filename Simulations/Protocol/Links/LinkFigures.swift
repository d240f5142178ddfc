package import CyxTransport

/// A path to measure transfers on.
package struct LinkPath {
    package var name: String
    /// Bits per second.
    package var bandwidth: Double
    /// Both ways together, in seconds.
    package var roundTrip: Double
    package var loss: Double
    /// Virtual seconds before the measurement, and of it.
    package var warmup = 5.0
    package var seconds = 10.0

    package init(name: String, bandwidth: Double, roundTrip: Double, loss: Double) {
        self.name = name
        self.bandwidth = bandwidth
        self.roundTrip = roundTrip
        self.loss = loss
    }

    package var links: (forward: PacketLink, back: PacketLink) {
        let delay = Int64(roundTrip / 2 * 1e9)
        // A bandwidth-delay product may wait.
        let queue = Int(bandwidth / 8 * roundTrip)
        let forward = PacketLink(
            bandwidth: bandwidth / 8, delay: delay, queueBytes: queue, loss: loss)
        return (forward, PacketLink(bandwidth: bandwidth / 8, delay: delay, queueBytes: queue))
    }
}

/// Goodput of one long transfer beside what a model of its congestion control predicts.
package struct LinkFigures {
    /// Bits of messages per second, in each flow.
    package var goodput: [Double]
    /// The model's prediction for one flow; nil where it says nothing.
    package var model: Double?
    package var overflowed: Int
    /// Bytes of credit that the receiver gave at a time, for the connection and for one stream, as
    /// they were at the end.
    package var window: (connection: UInt64, stream: UInt64)

    /// Of a datagram, what is not message: short header, tag, STREAM frame.
    private static let overheadBytes = 40

    package var ratio: Double? { model.map { goodput[0] / $0 } }
    /// Jain's index: 1 if all flows get the same.
    package var fairness: Double {
        let sum = goodput.reduce(0, +)
        let squares = goodput.reduce(0) { $0 + $1 * $1 }
        return squares > 0 ? sum * sum / (Double(goodput.count) * squares) : 0
    }

    package static func measure(
        _ path: LinkPath, _ flows: [CongestionAlgorithm], load: LinkLoad = LinkLoad(),
        seed: UInt64
    ) -> LinkFigures {
        let (forward, back) = path.links
        var run = LinkRun(flows: flows, load: load, forward: forward, back: back, seed: seed)
        for flow in flows.indices { run.start(flow: flow) }
        run.run(seconds: path.warmup)
        let before = run.arrived
        let (bytes, packets) = (run.forward.bytesCarried, run.forward.packetsCarried)
        run.run(seconds: path.seconds)
        let goodput = zip(run.arrived, before).map { Double($0 - $1) * 8 / path.seconds }
        let size =
            Double(run.forward.bytesCarried - bytes)
            / Double(max(1, run.forward.packetsCarried - packets))
        return LinkFigures(
            goodput: goodput,
            model: flows.count == 1
                ? model(flows[0], path, datagramBytes: size) : nil,
            overflowed: run.forward.overflowed, window: run.receiveWindowMax)
    }

    /// What the model of `algorithm` predicts, in bits of messages per second.
    ///
    /// CUBIC: the average window of RFC 9438 §5.1 (C = 0.4, β = 0.7) or, where that is smaller, of
    /// the Reno-friendly region, which is that of an AIMD with the same average as Reno's
    /// √(3/2p) (§4.3, after Mathis et al.), over the round trip, up to the link. BBR: the link
    /// less what it loses, while that is below its threshold of 2 %.
    package static func model(
        _ algorithm: CongestionAlgorithm, _ path: LinkPath, datagramBytes: Double
    ) -> Double? {
        let payload = datagramBytes - Double(overheadBytes)
        let link = path.bandwidth * payload / (datagramBytes + Double(PacketLink.headerBytes))
        switch algorithm {
        case .cubic:
            guard path.loss > 0 else { return link }
            let share = path.roundTrip / path.loss
            let cubic = 1.054 * (share * share * share).squareRoot().squareRoot()
            let reno = (1.5 / path.loss).squareRoot()
            return min(
                link * (1 - path.loss), max(cubic, reno) * payload * 8 / path.roundTrip)
        case .bbr:
            return path.loss < 0.02 ? link * (1 - path.loss) : nil
        }
    }
}
