package import CyxCore
internal import CyxCrypto
package import CyxObjects
package import CyxOverlay
package import CyxStorage
package import CyxTables
package import CyxTransport

/// One peer, put together: the same parts in `cyxpeer`, in the simulator and in benchmarks, which
/// differ only in the environment that they pass.
package final class PeerAssembly: Sendable {
    package let environment: Environment
    package let plan: PeerPlan
    package let messaging: UDPMessaging
    package let overlay: Overlay
    package let reachability: Reachability
    package let shards: ShardStore
    package let tables: TableService
    package let holder: ShardHolder
    package let repairer: Repairer
    package let objects: ObjectContext
    package let auditor: Auditor
    package let standings: StandingKeeper
    package let scrubber: Scrubber
    package let collector: HolderCollector
    /// Gives away what the peer holds before it goes.
    package let departure: Departure
    /// Whether the peer serves; it stops when its stores are gone.
    package let serving: ServingState
    /// What has begun and not ended, for a process that does not come to its end.
    package let parts = RunningParts()

    /// How often free space is looked at; the overlay tells others only of large changes.
    private static let usageInterval = Duration.seconds(5)

    /// Opens the stores, binds the socket and builds the shells. Nothing runs before `run`.
    ///
    /// `holderMessaging` gives the shard holder what it answers requests through. The messaging
    /// itself, unless a test puts something between that changes the answers.
    ///
    /// Throws `StoreError` and `BindError`.
    package init(
        environment: Environment, plan: PeerPlan,
        holderMessaging: (UDPMessaging) -> any PeerMessaging = { $0 }
    ) async throws {
        self.environment = environment
        self.plan = plan
        serving = ServingState()
        shards = try await ShardStore.open(environment, allocated: plan.allocatedBytes)
        var transport = TransportConfiguration(
            networkKey: plan.network.key, networkID: plan.network.id, identity: plan.identity,
            timings: plan.profile.transport, congestion: plan.congestion)
        transport.qlog = plan.qlog
        messaging = try UDPMessaging(transport, environment: environment, address: plan.listen)
        let usage = await shards.usage
        let contact = PeerContact(
            peer: plan.identity.verifyingKey.peerID,
            address: plan.advertised ?? messaging.localAddress)
        let info = MemberInfo(
            contact: contact, roles: plan.roles, zone: plan.zone, store: shards.storeID,
            allocatedBytes: UInt64(usage.allocated), freeBytes: UInt64(usage.available))
        var overlayOptions = OverlayOptions()
        overlayOptions.bootstrap = plan.bootstrap
        overlayOptions.timings = plan.profile.membership
        overlayOptions.network = plan.network.id
        overlayOptions.kademlia.diversity = plan.network.isPrivate ? .zones : .networks
        overlayOptions.addresses =
            plan.addresses
            ?? (plan.network.isPrivate ? .all : .open(listening: messaging.localAddress))
        overlay = Overlay(
            environment: environment, messaging: messaging, identity: plan.identity, info: info,
            options: overlayOptions)
        var reachabilityOptions = ReachabilityOptions()
        reachabilityOptions.addresses = overlayOptions.addresses
        reachabilityOptions.trustsPeers = plan.network.isPrivate
        if plan.roles.contains(.relay) { reachabilityOptions.relay = plan.relayLimits }
        reachability = Reachability(
            environment: environment, transport: messaging, directory: overlay,
            local: contact.address, options: reachabilityOptions)
        var tablesConfiguration = TablesConfiguration()
        tablesConfiguration.genesisDepth = plan.genesisDepth
        tablesConfiguration.lessonRowsMin = plan.lessonRowsMin
        tablesConfiguration.adminKey = plan.adminKey
        tablesConfiguration.isFounder = plan.bootstrap.isEmpty
        tablesConfiguration.twoPhaseTables = ObjectRowRules.twoPhaseTables
        tablesConfiguration.loggedTables = ObjectRowRules.loggedTables
        tablesConfiguration.timings = plan.profile.tables
        tablesConfiguration.custodianTables = ObjectRowRules.custodianTables
        tablesConfiguration.openRowBytes = ObjectRowRules.openRowBytes
        let permits = PermitBook(network: plan.network.id)
        tablesConfiguration.rowGuard = ObjectRowRules.rowGuard(permits)
        tablesConfiguration.validate = ObjectRowRules.validate
        let salts = PlacementSalts()
        tables = try await TableService(
            environment: environment, key: plan.identity, storeID: shards.storeID,
            messaging: messaging, membership: overlay, salts: salts,
            configuration: tablesConfiguration)
        let mark = await tables.mark
        await overlay.state { info in
            info.mark = mark ?? .none
            if mark == nil { info.stopStoring() }
        }
        holder = ShardHolder(
            environment: environment, messaging: holderMessaging(messaging), store: shards,
            signing: plan.identity, timings: plan.profile.objects, serving: serving)
        objects = ObjectContext(
            environment: environment, messaging: messaging, membership: overlay,
            tables: MeteredTables(tables, environment: environment),
            timings: plan.profile.objects, salts: salts, permits: permits,
            collection: plan.collection, cacheBytes: plan.cacheBytes, readBytes: plan.readBytes)
        repairer = Repairer(context: objects)
        auditor = Auditor(context: objects, repairer: repairer, signing: plan.identity)
        standings = StandingKeeper(context: objects, signing: plan.identity)
        scrubber = Scrubber(context: objects, holder: holder, store: shards)
        collector = HolderCollector(context: objects, holder: holder, store: shards)
        departure = Departure(context: objects, holder: holder, store: shards)
    }

    /// Takes part in the network until the task is cancelled, then closes what it opened.
    package func run() async throws {
        messaging.start()
        holder.start()
        repairer.start()
        let bodies: [(name: String, run: @Sendable () async throws -> Void)] = [
            ("transport", { await self.messaging.run() }),
            ("overlay", { try await self.overlay.run() }),
            ("reachability", { try await self.reachability.run() }),
            ("tables", { try await self.tables.run() }),
            ("holder", { try await self.holder.run() }),
            ("repair", { try await self.repairer.run() }),
            ("audits", { try await self.auditor.run() }),
            ("standings", { try await self.standings.run() }),
            ("scrub", { try await self.scrubber.run() }),
            ("collection", { try await self.collector.run() }),
            ("departure", { try await self.departure.run() }),
            ("store watch", { try await self.watchStores() }),
            ("usage", { try await self.reportUsage() }),
        ]
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for body in bodies {
                    group.addTask { try await self.parts.run(body.name, body.run) }
                }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            await close()
            throw error
        }
        await close()
    }

    private func close() async {
        await parts.run("closing the transport") { await messaging.shutDown() }
        await parts.run("closing the shards") { await shards.close() }
    }

    private func watchStores() async throws {
        let watch = StoreWatch(
            context: objects, stores: ["shards", "tables"], state: serving,
            isBehind: { await self.tables.mark == nil }, stop: { await self.tables.suspend() })
        try await watch.run()
    }

    private func reportUsage() async throws {
        while true {
            try await environment.sleep(for: PeerAssembly.usageInterval)
            guard serving.suspension == nil else { continue }
            let usage = await shards.usage
            let free = UInt64(max(0, usage.available))
            overlay.announce { $0.freeBytes = free }
        }
    }
}
