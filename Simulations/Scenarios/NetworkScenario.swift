internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import SimulationHarness

/// A network of whole peers under loss, churn and partitions, whose clients put and get objects.
/// Safety: no read ever returns anything but what was written. Liveness: when the faults end, the
/// peers find each other, the tables are whole and every acknowledged object is read back.
struct NetworkScenario {
    var name: String
    var peers: Int
    var duration: Duration
    var loss: Double
    var nemesis = NemesisOptions()
    /// Between two steps of clients and nemesis.
    var pace: Duration = .seconds(1)
    var cluster = ClusterOptions()
    /// Share of the peers whose disks are wiped, all at once, when the faults end.
    var wipedShareAtEnd = 0.0
    /// How long the network may take to be whole again, and then its objects to be readable.
    var recoveryLimit: Duration = .seconds(600)

    private static let startInterval = Duration.milliseconds(300)

    func run(_ options: ScenarioOptions) -> ScenarioReport {
        let count = options.peers ?? peers
        let duration = options.duration ?? duration
        var settings = cluster
        settings.world.links.loss = 0
        settings.world.links.latency = .milliseconds(1)
        settings.world.links.jitter = .milliseconds(4)
        settings.world.links.reordering = 0.01
        settings.world.links.duplication = 0.005
        settings.world.printedLogLevel = options.printedLogLevel
        if let level = options.printedLogLevel {
            settings.world.minimumLogLevel = min(level, settings.world.minimumLogLevel)
        }
        let cluster = Cluster(seed: options.seed, options: settings)
        cluster.world.engine.writeTrace(options.trace)
        var report = ScenarioReport(
            name: name, seed: options.seed, peers: count, virtualSeconds: 0, events: 0, jobs: 0,
            trace: TraceHash())
        report.invariants = [
            "RegisterLinear, NoResurrection: no read returns anything but what was written",
            "Committed: what is acknowledged lies on n - m/2 disks",
            "NoAmnesia: no peer serves from a store that was put back from an older copy",
            "Converge: after the faults all peers see each other, every partition is whole",
            "AckedDurable, Recoverable, NoDangling: every acknowledged object is readable then",
        ]
        for _ in 0..<count {
            cluster.addPeer()
            cluster.world.run(for: Self.startInterval)
        }
        let workload = ObjectWorkload(cluster: cluster)
        if !cluster.settle(.seconds(60), { cluster.hasConverged }) {
            report.violations.append("the peers did not find each other at the start")
        } else if !workload.createBucket() {
            report.violations.append("the bucket could not be created at the start")
        } else {
            underFaults(cluster, workload, duration, options.progress, &report)
        }
        report.virtualSeconds = (cluster.world.now - Instant(nanoseconds: 0)).inSeconds
        report.events = cluster.world.engine.eventCount
        report.jobs = cluster.world.engine.jobCount
        report.trace = cluster.world.trace
        report.counts.merge(workload.counts) { $1 }
        report.counts["seconds under faults"] = Int(duration.inSeconds)
        report.counts["datagrams sent"] = Int(cluster.world.links.sentCount)
        report.counts["datagrams lost"] = Int(cluster.world.links.lostCount)
        cluster.world.end()
        return report
    }

    private func underFaults(
        _ cluster: Cluster, _ workload: ObjectWorkload, _ duration: Duration,
        _ progress: (@Sendable (String) -> Void)?, _ report: inout ScenarioReport
    ) {
        let nemesis = NemesisPlan(cluster: cluster, options: nemesis) { workload.busyGateways }
        cluster.world.links.change { $0.loss = loss }
        let end = cluster.world.now + duration
        var nextLine = cluster.world.now
        while cluster.world.now < end {
            if cluster.world.now >= nextLine {
                progress?(
                    "\(Int((end - cluster.world.now).inSeconds)) s of faults to go: "
                        + "\(workload.summary)")
                nextLine = nextLine + .seconds(60)
            }
            nemesis.step()
            workload.step()
            cluster.world.run(for: pace)
        }
        nemesis.stop()
        let wiped = Int(Double(cluster.running.count) * wipedShareAtEnd)
        for peer in cluster.running.suffix(wiped) {
            cluster.crash(peer)
            peer.disk.wipe()
            peer.restart()
        }
        if !cluster.settle(.seconds(180), { cluster.hasConverged }) {
            report.violations.append("Converge: the peers did not find each other after the faults")
        }
        var health: [TablesHealth?] = []
        let areWhole = cluster.settle(recoveryLimit, every: .seconds(10)) {
            health = cluster.tablesHealth()
            return health.allSatisfy { health in
                guard let health else { return false }
                return health.fullPartitions == health.partitions
                    && health.unavailablePartitions == 0
            }
        }
        if !areWhole {
            report.violations.append("Converge: partitions are not whole: \(summary(health))")
        }
        workload.verifyAll(limit: recoveryLimit)
        report.violations += workload.violations + nemesis.violations
        report.counts.merge(nemesis.counts) { $1 }
        for peer in cluster.world.peers where peer.isRunning {
            if case .failure(let error)? = peer.processResult {
                report.violations.append("\(peer.name) ended by itself: \(error)")
            }
        }
    }

    private func summary(_ health: [TablesHealth?]) -> String {
        let known = health.compactMap { $0 }
        let missing = known.reduce(0) { $0 + $1.partitions - $1.fullPartitions }
        let unavailable = known.reduce(0) { $0 + $1.unavailablePartitions }
        return "\(health.count - known.count) peers silent, \(missing) replicas of partitions that "
            + "lack members, \(unavailable) of partitions without a quorum"
    }
}
