internal import CyxAssembly
internal import CyxCore
internal import CyxObjects
internal import CyxOverlay
internal import CyxTables
internal import SimulationHarness

/// The scenarios by name.
package enum Scenarios {
    package static let names = ["smoke", "storm", "network"]

    /// A smoke run that ends with more disks wiped at once than any code survives: its report must
    /// name violations, or the checks check nothing.
    package static func runSabotaged(_ options: ScenarioOptions) -> ScenarioReport? {
        guard var scenario = scenario("smoke") else { return nil }
        scenario.wipedShareAtEnd = 0.5
        scenario.recoveryLimit = .seconds(15)
        return scenario.run(options)
    }

    /// Nil if there is none of that name.
    package static func run(_ name: String, _ options: ScenarioOptions) -> ScenarioReport? {
        scenario(name)?.run(options)
    }

    private static func scenario(_ name: String) -> NetworkScenario? {
        switch name {
        case "smoke":
            return NetworkScenario(
                name: name, peers: 14, duration: .seconds(120), loss: 0.02,
                nemesis: NemesisOptions(interval: .seconds(10), unreachableMax: 2))
        case "storm":
            // Every kind of fault, about half of them in one seed.
            var cluster = ClusterOptions()
            cluster.zones = 4
            return NetworkScenario(
                name: name, peers: 14, duration: .seconds(120), loss: 0.02,
                nemesis: NemesisOptions(
                    interval: .seconds(8), unreachableMax: 3, kinds: NemesisOptions.all,
                    drawsKinds: true),
                cluster: cluster)
        case "network":
            // Membership at its production pace: probing every 300 ms in 60 peers for an hour
            // would be most of the work.
            var cluster = ClusterOptions()
            cluster.profile.membership = .production
            cluster.profile.tables.tick = .seconds(2)
            cluster.profile.objects.repair.tick = .seconds(5)
            // Every custodian reads every segment's rows again so often: most of an hour's traffic.
            cluster.profile.objects.repair.refresh = .seconds(60)
            return NetworkScenario(
                name: name, peers: 60, duration: .seconds(3600), loss: 0.05,
                nemesis: NemesisOptions(
                    interval: .seconds(30), unreachableMax: 3, retirementsMax: 6,
                    retirementInterval: .seconds(480)),
                pace: .seconds(2), cluster: cluster)
        default:
            return nil
        }
    }
}
