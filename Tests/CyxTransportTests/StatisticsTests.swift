import CyxCore
import CyxCrypto
import Testing

@testable import CyxTransport

/// What the metrics count.
@Suite struct StatisticsTests {
    @Test func movesOfAPeerAndAddressesTriedInVainAreCounted() {
        var pair = Pair(key: Pair.privateKey)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        pair.run(.milliseconds(200))
        let silent = SocketAddress(ipv4: (10, 9, 9, 9), port: 1)
        let isTried = pair.nodes[0].machine.migrate(
            pair.peer(1), to: silent, wall: pair.wall, now: pair.now)
        #expect(isTried)
        pair.settle(0)
        pair.run(.seconds(3))
        #expect(pair.nodes[0].machine.endpoint.statistics.pathsFailed == 1)
        pair.nodes[0].address = SocketAddress(ipv4: (10, 0, 0, 1), port: 5555)
        _ = pair.result(0, pair.call(0, 1, [2]))
        pair.run(.milliseconds(500))
        #expect(pair.nodes[1].machine.endpoint.statistics.pathsChanged == 1)
        #expect(pair.nodes[0].machine.endpoint.statistics.pathsChanged == 0)
    }

    @Test func resetsAreCountedByWhoSendsAndWhoReceivesThem() {
        var pair = Pair()
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        pair.nodes[1].machine = Pair.machine(identity: 2, seed: 999)
        _ = pair.result(0, pair.call(0, 1, pattern(100)))
        #expect(pair.nodes[1].machine.endpoint.statistics.resetsSent == 1)
        #expect(pair.nodes[0].machine.endpoint.statistics.resetsReceived == 1)
    }

    @Test func retriesAreCounted() {
        var limits = TransportLimits()
        limits.retryThreshold = 0
        var pair = Pair(limits: limits)
        pair.introduce()
        _ = pair.result(0, pair.call(0, 1, [1]))
        #expect(pair.nodes[1].machine.endpoint.statistics.retriesSent == 1)
        #expect(pair.nodes[0].machine.endpoint.statistics.retriesSent == 0)
    }

    @Test func updatesOfKeysAreCountedOnBothSides() throws {
        var limits = TransportLimits()
        limits.packetsPerKey = 20
        var pair = Pair(limits: limits)
        pair.introduce()
        for _ in 0..<40 {
            _ = pair.result(0, pair.call(0, 1, pattern(3000)))
            pair.run(.milliseconds(100))
        }
        for index in 0..<2 {
            let handle = try #require(pair.nodes[index].machine.links.keys.first)
            let updates = try #require(pair.nodes[index].machine.endpoint[handle]?.keys?.updates)
            #expect(updates > 1)
            #expect(pair.nodes[index].machine.endpoint.statistics.keyUpdates == updates)
        }
    }

    @Test func metricsFollowTheStatistics() {
        let registry = MetricsRegistry()
        let counters = TransportCounters(registry, engine: .openSSL)
        var counted = TransportStatistics()
        var statistics = TransportStatistics()
        statistics.retriesSent = 3
        statistics.resetsReceived = 2
        counters.add(statistics, since: &counted)
        statistics.retriesSent = 4
        statistics.keyUpdates = 7
        counters.add(statistics, since: &counted)
        #expect(counted == statistics)
        #expect(registry.counter("cyxcloud_transport_retries_total").value == 4)
        #expect(registry.counter("cyxcloud_transport_key_updates_total").value == 7)
        #expect(
            registry.counter("cyxcloud_transport_resets_total", [("direction", "in")]).value == 2)
        #expect(
            registry.counter("cyxcloud_transport_resets_total", [("direction", "out")]).value == 0)
    }
}
