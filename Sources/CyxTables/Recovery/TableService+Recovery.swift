package import CyxCore
package import CyxCrypto
internal import CyxOverlay
internal import CyxTransport

/// What a look at all partitions found.
package struct RecoveryReport: Sendable {
    package struct Waiting: Hashable, Sendable {
        package var partition: Partition
        package var missing: [MissingMember]
    }

    package struct Lost: Hashable, Sendable {
        package var plan: RecoveryPlan
        package var missing: [MissingMember]
    }

    /// Whose signature counts here.
    package var adminKey: VerifyingKey?
    package var partitions = 0
    package var whole = 0
    package var underWay: [ViewCertificate] = []
    package var waiting: [Waiting] = []
    package var lost: [Lost] = []
    /// How long a member must have been gone to count as lost.
    package var deathDelay: Duration
}

package enum RecoveryError: Error, Equatable, CustomStringConvertible {
    /// They are alive and did not say what they hold.
    case silent([PeerID])
    /// They would not believe what this network's admin signs.
    case otherAdminKey([PeerID])
    case noStorage
    /// Nobody here is in a network.
    case noNetwork
    /// This peer knows only some of the members: what those hold is not all that there is.
    case partialView

    package var description: String {
        switch self {
        case .silent(let peers):
            "these peers are alive and do not say what they hold; try again, or stop them if they "
                + "hang: " + peers.map { "\($0)" }.joined(separator: ", ")
        case .otherAdminKey(let peers):
            "these peers were started with another --admin-key or without one: "
                + peers.map { "\($0)" }.joined(separator: ", ")
        case .noStorage: "no reachable peer stores anything"
        case .noNetwork: "no reachable peer knows any partition"
        case .partialView:
            "the network is so large that this peer knows only some of its members, and cannot tell "
                + "what is lost; nothing was changed"
        }
    }
}

/// Bringing partitions back that have lost their quorum for good, on the word of the network's admin
/// (A5). Until then they are unavailable, however long that takes.
extension TableService {
    /// Peers asked at once.
    private static let askedForHoldings = 16

    /// Asks every reachable peer what it holds, and says of each partition how it is.
    package func assessRecovery() async throws(RecoveryError) -> RecoveryReport {
        // Not what was seen a moment ago: what is decided on this cannot be undone.
        changes.planner = nil
        let planner = currentPlanner()
        guard !planner.snapshot.isPartial else { throw .partialView }
        let peers = planner.snapshot.reachable.map(\.peer)
        let answers = await withTaskGroup(of: (PeerID, Holdings?).self) { group in
            var answers: [(peer: PeerID, holdings: Holdings?)] = []
            for (index, peer) in peers.enumerated() {
                if index >= TableService.askedForHoldings, let answer = await group.next() {
                    answers.append(answer)
                }
                group.addTask { (peer, await self.holdings(of: peer)) }
            }
            for await answer in group { answers.append(answer) }
            return answers
        }
        let silent = answers.filter { $0.holdings == nil }.map(\.peer)
        var holdings: [Partition: [PeerID: PartitionHolding]] = [:]
        for answer in answers {
            for holding in answer.holdings?.partitions ?? [] {
                holdings[holding.certificate.view.partition, default: [:]][answer.peer] = holding
            }
        }
        guard silent.isEmpty else { throw .silent(silent.sorted()) }
        let strangers = answers.filter { $0.holdings?.adminKey != ownAdminKey }.map(\.peer)
        guard strangers.isEmpty else { throw .otherAdminKey(strangers.sorted()) }
        guard !holdings.isEmpty else { throw .noNetwork }
        return try report(holdings, planner)
    }

    private func report(
        _ holdings: [Partition: [PeerID: PartitionHolding]], _ views: ViewPlanner
    ) throws(RecoveryError) -> RecoveryReport {
        let seconds = environment.wallTime().milliseconds / 1000
        let planner = RecoveryPlanner(
            planner: views, watchingSince: changes.watchingSince ?? views.now,
            generation: UInt32(clamping: seconds))
        var report = RecoveryReport(
            adminKey: configuration.adminKey, deathDelay: configuration.timings.deathDelay)
        for index in 0..<UInt64(1) << UInt64(configuration.genesisDepth) {
            guard let partition = Partition(depth: configuration.genesisDepth, index: index) else {
                preconditionFailure("the index has as many bits as the depth")
            }
            guard let outlook = planner.outlook(of: partition, holdings[partition] ?? [:]) else {
                throw .noStorage
            }
            report.partitions += 1
            switch outlook {
            case .whole: report.whole += 1
            case .underWay(let certificate): report.underWay.append(certificate)
            case .waiting(let missing):
                report.waiting.append(.init(partition: partition, missing: missing))
            case .lost(let plan, let missing):
                report.lost.append(.init(plan: plan, missing: missing))
            }
        }
        return report
    }

    private struct Holdings {
        var partitions: [PartitionHolding] = []
        var adminKey: [UInt8] = []
    }

    /// Empty: nobody may recover.
    private var ownAdminKey: [UInt8] { configuration.adminKey?.bytes ?? [] }

    /// What a peer holds, page by page; nil if it does not say.
    private func holdings(of peer: PeerID) async -> Holdings? {
        var found = Holdings()
        var index: UInt64? = 0
        while let first = index,
            let partition = Partition(depth: configuration.genesisDepth, index: first)
        {
            let request = ViewRequest(
                operation: .holdings,
                view: ViewReference(ViewID(partition: partition, generation: 0, epoch: 0)))
            let call = await ask(
                [peer], .tableViews, request.protobufBytes(), as: ViewReply.self
            ) { _ in .goOn }
            guard let reply = call.answers.first?.reply, reply.status == .done else { return nil }
            found.adminKey = reply.adminKey
            // Signed with a key that is none here, its certificates would be none either.
            guard found.adminKey == ownAdminKey else { return found }
            var last: UInt64?
            for item in reply.holdings {
                guard let holding = holding(item) else { return nil }
                found.partitions.append(holding)
                last = holding.certificate.view.partition.index
            }
            if reply.isComplete { return found }
            // Pages go forward or the answer is none.
            guard let last, last >= first else { return nil }
            index = last + 1
        }
        return found
    }

    private func holding(_ item: PartitionHoldingMessage) -> PartitionHolding? {
        let certificate: ViewCertificate
        do {
            certificate = try ViewCertificate(bytes: item.certificate)
        } catch {
            return nil
        }
        guard certificate.view.partition.depth == configuration.genesisDepth,
            knownCertificate(certificate.view.partition) == certificate
                || certificate.isValid(adminKey: configuration.adminKey)
        else { return nil }
        return PartitionHolding(
            certificate: certificate, held: item.held?.id, isSynced: item.isSynced,
            frozen: item.frozen?.id)
    }

    /// A page of what this peer knows and has, from a partition on.
    func answerHoldings(from first: Partition) -> ViewReply {
        let known = Set(replicas.keys).union(catalog.keys).filter { $0 >= first }.sorted()
        let page = known.prefix(TableMessageLimits.holdings)
        var reply = ViewReply(status: .done, adminKey: ownAdminKey)
        reply.isComplete = page.count == known.count
        for partition in page {
            guard let certificate = knownCertificate(partition) else { continue }
            var holding = PartitionHoldingMessage(certificate: certificate.bytes)
            if let replica = replicas[partition] {
                holding.held = ViewReference(replica.view.id)
                holding.isSynced = replica.isSynced
                if let frozen = replica.frozen, frozen.isSource {
                    holding.frozen = ViewReference(frozen.view)
                }
            }
            reply.holdings.append(holding)
        }
        return reply
    }

    /// Takes in what the admin signed and tells everyone whom it concerns; returns how many of the
    /// certificates are valid. Once more with the same ones does no harm, here or at another peer.
    package func recover(_ certificates: [[UInt8]]) -> Int {
        var count = 0
        for bytes in certificates {
            guard let partition = recoveredPartition(bytes),
                let certificate = adopt(bytes, for: partition)
            else { continue }
            count += 1
            announce(certificate)
        }
        if count > 0 {
            logger.warning("recovering lost partitions", [("partitions", "\(count)")])
        }
        return count
    }

    private func recoveredPartition(_ bytes: [UInt8]) -> Partition? {
        do {
            let certificate = try ViewCertificate(bytes: bytes)
            return certificate.recovery == nil ? nil : certificate.view.partition
        } catch {
            return nil
        }
    }
}
