import CyxCore
import CyxOverlay
import CyxTransport

/// What lookups cost and how long they take, beside the model that the design goes by.
package struct LookupFigures: Sendable, Equatable {
    package var peers: Int
    package var deadShare: Double
    package var samples: Int
    /// Requests in the chain from the origin to the closest result, that to it included.
    package var hops: Spread
    package var requests: Spread
    /// Lookups whose closest result is the closest live peer there is.
    package var exact: Int
    /// Mean share of the k closest live peers that a result holds.
    package var recall: Double
    package var events: Int

    /// Mean hops that the design expects (architecture §7); nil where it gives none.
    package static func model(peers: Int) -> Double? {
        [10_000: 2.4, 100_000: 2.9, 1_000_000: 3.4][peers]
    }

    package static func measure(
        peers: Int, deadShare: Double, samples: Int, seed: UInt64
    ) -> LookupFigures {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        var run = LookupRun(
            population: Population(
                honest: peers, deadShare: deadShare, parameters: parameters, seed: seed),
            model: .planetLab, loss: 0.01, seed: seed)
        let keys = (0..<samples).map { _ in run.randomKey() }
        let operations = run.run(.explore, keys: keys)
        var exact = 0
        var recall = 0.0
        for operation in operations {
            let truth = run.population.closestLive(
                to: operation.lookup.target, parameters.bucketSize
            ) { $0 != operation.origin }.map { run.population.ids[$0] }
            let result = operation.lookup.result.map(\.peer)
            if result.first == truth.first { exact += 1 }
            recall += Double(Set(result).intersection(truth).count) / Double(truth.count)
        }
        return LookupFigures(
            peers: peers, deadShare: deadShare, samples: samples,
            hops: Spread(operations.map { Double($0.lookup.hops + 1) }),
            requests: Spread(operations.map { Double($0.lookup.requests) }), exact: exact,
            recall: recall / Double(samples), events: run.events)
    }
}

/// Mean and percentiles of a sample.
package struct Spread: Sendable, Equatable {
    package var mean: Double
    private var sorted: [Double]

    package init(_ values: [Double]) {
        sorted = values.sorted()
        mean = values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
    }

    package var count: Int { sorted.count }

    /// The value that `share` (0 to 1) of the sample does not exceed.
    package func percentile(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }
}

/// How long storing and finding a record take on the internet's round trips.
package struct LatencyFigures: Sendable, Equatable {
    package var model: RoundTripModel
    package var deadShare: Double
    /// Median and 90th percentile of the round trips drawn, in milliseconds.
    package var roundTrip: (median: Float, high: Float)
    /// Milliseconds, of those that succeeded.
    package var publish: Spread
    package var retrieve: Spread
    package var explore: Spread
    package var retrieved: Int
    package var samples: Int

    package static func == (left: Self, right: Self) -> Bool {
        left.publish == right.publish && left.retrieve == right.retrieve
            && left.explore == right.explore && left.retrieved == right.retrieved
    }

    /// `sample`: members at random that a peer knows of a network which is too large to know everybody.
    package static func measure(
        _ model: RoundTripModel, peers: Int, deadShare: Double, samples: Int,
        sample: Int = ViewLimits().sample, seed: UInt64
    ) -> LatencyFigures {
        var parameters = KademliaParameters()
        parameters.diversity = .networks
        var run = LookupRun(
            population: Population(
                honest: peers, deadShare: deadShare, parameters: parameters, seed: seed),
            model: model, loss: 0.01, seed: seed)
        let keys = (0..<samples).map { _ in run.randomKey() }
        let published = run.run(
            .publish, keys: keys, paths: parameters.paths, asksRegion: true, sample: sample)
        let retrieved = run.run(.retrieve, keys: keys, asksRegion: true, sample: sample)
        let explored = run.run(.explore, keys: keys, sample: sample)
        func times(_ operations: [LookupRun.Operation]) -> [Double] {
            operations.compactMap { operation in
                operation.finished.map { Double($0 - operation.started) / 1e6 }
            }
        }
        var generator = SeededGenerator(seed: seed)
        return LatencyFigures(
            model: model, deadShare: deadShare,
            roundTrip: run.network.percentiles(of: 20_000, &generator),
            publish: Spread(times(published)), retrieve: Spread(times(retrieved)),
            explore: Spread(times(explored)), retrieved: times(retrieved).count, samples: samples)
    }
}
