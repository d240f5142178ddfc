import CyxCore

/// How long packets travel between peers: places in a plane plus a height above it for the access
/// link, the shape that Vivaldi found to describe the internet best (Dabek, Cox, Kaashoek and
/// Morris 2004, §5.4), scaled to the median round trip of one of the two data sets of that paper.
package enum RoundTripModel: String, CaseIterable, Sendable {
    /// 192 hosts of PlanetLab: well-connected sites, median 76 ms.
    case planetLab
    /// 1,740 name servers measured with King (Gummadi, Saroiu and Gribble 2002): median 159 ms.
    case king

    var medianMilliseconds: Double {
        switch self {
        case .planetLab: 76
        case .king: 159
        }
    }
}

/// The places of a population, and the fate of each packet between two of them.
struct NetworkModel {
    /// Loss of each packet, either way.
    var loss = 0.01
    /// What a request to a peer costs before it is sent: one round trip, since the third message of
    /// the handshake carries it (decisions §D).
    var handshakeRoundTrips = 1.0
    /// A lost first packet is sent again so late (RFC 9002 §6.2.2: 333 ms, PTO thrice that).
    private static let firstTimeout = 999.0
    /// A lost later one (RFC 9002 §6.2.1, without variance).
    private static let laterTimeouts = 1.5
    /// Answering takes so long.
    private static let answerMilliseconds = 1.0
    private static let heightShare: Float = 0.1

    private var places: [SIMD4<Float>] = []
    private var scale: Float = 1

    init(_ model: RoundTripModel, peers: Int, generator: inout SeededGenerator) {
        places.reserveCapacity(peers)
        for _ in 0..<peers {
            let radius = (-2 * Self.log(Self.unit(&generator))).squareRoot()
            let (x, y) = Self.direction(&generator)
            let height = -Self.heightShare * Self.log(Self.unit(&generator))
            places.append(SIMD4(radius * x, radius * y, height, 0))
        }
        let samples = percentiles(of: 20_000, &generator)
        scale = Float(model.medianMilliseconds) / samples.median
    }

    /// Uniform in (0, 1].
    private static func unit(_ generator: inout SeededGenerator) -> Float {
        Float(generator.next() >> 40 + 1) / Float(1 << 24)
    }

    /// A unit vector of random direction, by rejection.
    private static func direction(_ generator: inout SeededGenerator) -> (Float, Float) {
        while true {
            let x = 2 * unit(&generator) - 1
            let y = 2 * unit(&generator) - 1
            let square = x * x + y * y
            if square > 0.01, square <= 1 {
                return (x / square.squareRoot(), y / square.squareRoot())
            }
        }
    }

    /// The natural logarithm, from the exponent and a series for the rest; to about six digits.
    private static func log(_ value: Float) -> Float {
        let ratio = (value.significand - 1) / (value.significand + 1)
        let square = ratio * ratio
        let series =
            2 * ratio * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square / 9))))
        return Float(value.exponent) * 0.693_147_18 + series
    }

    /// Milliseconds from `from` to `to` and back.
    func roundTrip(_ from: Int, _ to: Int) -> Float {
        let difference = places[from] - places[to]
        let flat = (difference.x * difference.x + difference.y * difference.y).squareRoot()
        return scale * (flat + places[from].z + places[to].z)
    }

    /// Median and 90th percentile of the round trips of random pairs, in milliseconds.
    func percentiles(
        of pairs: Int, _ generator: inout SeededGenerator
    ) -> (median: Float, high: Float) {
        let samples = (0..<pairs).map { _ in
            roundTrip(
                Int.random(in: 0..<places.count, using: &generator),
                Int.random(in: 0..<places.count, using: &generator))
        }.sorted()
        return (samples[pairs / 2], samples[pairs * 9 / 10])
    }

    /// Nanoseconds until a request is answered; `isFirst` if no connection is open yet.
    func answerTime(
        _ from: Int, _ to: Int, isFirst: Bool, _ generator: inout SeededGenerator
    ) -> Int64 {
        let trip = Double(roundTrip(from, to))
        var time = trip + Self.answerMilliseconds
        if isFirst {
            time += trip * handshakeRoundTrips
            while strikes(&generator) { time += Self.firstTimeout }
        }
        while strikes(&generator) { time += Self.laterTimeouts * trip }
        return Int64(time * 1e6)
    }

    /// Whether a packet or its answer is lost.
    private func strikes(_ generator: inout SeededGenerator) -> Bool {
        Double.random(in: 0..<1, using: &generator) < 2 * loss
    }
}
