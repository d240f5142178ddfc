import CyxCore
import SimulationHarness

/// What a run's faults may be, and how often.
struct NemesisOptions {
    /// Mean virtual time between two faults.
    var interval: Duration = .seconds(30)
    /// Peers that may be down, or cut off from the rest, at one time.
    var unreachableMax = 2
    /// Peers that may go for good in one run; a new one comes for each.
    var retirementsMax = 0
    var retirementInterval: Duration = .seconds(300)
    /// Kinds of faults, each with its weight in the draw of the next one.
    var kinds: [(nemesis: any Nemesis, weight: Int)] = NemesisOptions.usual
    /// Whether a seed draws about half of the kinds, so that many seeds cover their combinations.
    var drawsKinds = false

    /// Faults of any week.
    static let usual: [(nemesis: any Nemesis, weight: Int)] = [
        (CrashNemesis(), 4), (PartitionNemesis(), 2), (OneWayNemesis(), 2), (ClogNemesis(), 1),
        (ClockStepNemesis(), 1),
    ]

    /// All that `decisions.md` §C names and whole peers can suffer.
    static let all: [(nemesis: any Nemesis, weight: Int)] =
        usual + [
            (GatewayCrashNemesis(), 2), (FlapNemesis(), 2), (ClockHourNemesis(), 1),
            (DiskErrorNemesis(), 2), (FullDiskNemesis(), 1), (LyingFlushNemesis(), 1),
            (BitRotNemesis(), 1), (WipeNemesis(), 1), (RestoredCopyNemesis(), 2),
            (LyingHolderNemesis(), 2),
            (ZoneNemesis(), 1), (PowerNemesis(), 1),
        ]
}

/// One kind of fault. Most last for a while: `step` takes back what is over, `stop` all that is left.
protocol Nemesis: Sendable {
    /// Injects one, if the stage has room for it.
    mutating func inject(_ stage: NemesisStage)
    mutating func step(_ stage: NemesisStage)
    mutating func stop(_ stage: NemesisStage)
}

extension Nemesis {
    mutating func step(_ stage: NemesisStage) {}
    mutating func stop(_ stage: NemesisStage) {}
}

/// Injects faults from the world's seed and takes them back again.
final class NemesisPlan {
    private let stage: NemesisStage
    private var kinds: [(nemesis: any Nemesis, weight: Int)] = []
    private var nextFault: Instant
    private var nextRetirement: Instant
    private var retired = 0

    init(
        cluster: Cluster, options: NemesisOptions, busy: @escaping () -> [SimulatedPeer] = { [] }
    ) {
        stage = NemesisStage(cluster: cluster, options: options, busy: busy)
        nextFault = cluster.world.now + options.interval
        nextRetirement = cluster.world.now + options.retirementInterval
        for kind in options.kinds
        where !options.drawsKinds || Bool.random(using: &stage.generator) {
            kinds.append(kind)
        }
    }

    var counts: [String: Int] { stage.counts }
    var violations: [String] { stage.violations }

    /// Takes back what is over and injects what is due.
    func step() {
        stage.restartWhatIsDue()
        for index in kinds.indices { kinds[index].nemesis.step(stage) }
        if nextRetirement <= stage.now { retire() }
        guard nextFault <= stage.now, !kinds.isEmpty else { return }
        let interval = stage.options.interval
        nextFault = stage.now + stage.random(interval / 2, interval * 3 / 2)
        var draw = Int.random(in: 0..<kinds.reduce(0) { $0 + $1.weight }, using: &stage.generator)
        for index in kinds.indices {
            if draw < kinds[index].weight { return kinds[index].nemesis.inject(stage) }
            draw -= kinds[index].weight
        }
    }

    private func retire() {
        nextRetirement = stage.now + stage.options.retirementInterval
        // The founder stays: it is everybody's first bootstrap address.
        guard retired < stage.options.retirementsMax, stage.unreachable == 0,
            let peer = stage.pick(), peer.index > 2
        else { return }
        retired += 1
        stage.count("peer gone for good")
        stage.cluster.crash(peer)
        stage.cluster.addPeer()
    }

    /// Takes everything back: what is down comes up again, the network is whole and loses nothing.
    func stop() {
        for index in kinds.indices { kinds[index].nemesis.stop(stage) }
        stage.restartAll()
        stage.cluster.world.links.heal()
        stage.cluster.world.links.change { $0.loss = 0 }
    }
}
