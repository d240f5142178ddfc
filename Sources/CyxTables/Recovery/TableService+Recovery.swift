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
        var holdings: [PeerID: [PartitionHolding]] = [:]
        for answer in answers { holdings[answer.peer] = answer.holdings?.partitions ?? [] }
        guard silent.isEmpty else { throw .silent(silent.sorted()) }
        let strangers = answers.filter { $0.holdings?.adminKey != ownAdminKey }.map(\.peer)
        guard strangers.isEmpty else { throw .otherAdminKey(strangers.sorted()) }
        guard holdings.values.contains(where: { !$0.isEmpty }) else { throw .noNetwork }
        return try report(holdings, planner)
    }

    private func report(
        _ holdings: [PeerID: [PartitionHolding]], _ views: ViewPlanner
    ) throws(RecoveryError) -> RecoveryReport {
        let seconds = environment.wallTime().milliseconds / 1000
        let planner = RecoveryPlanner(
            planner: views, watchingSince: changes.watchingSince ?? views.now,
            generation: UInt32(clamping: seconds))
        var report = RecoveryReport(
            adminKey: configuration.adminKey, deathDelay: configuration.timings.deathDelay)
        for (partition, holdings) in table(of: holdings) {
            guard let outlook = planner.outlook(of: partition, holdings) else {
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

    /// What each peer has of each partition that there is by what any of them knows: of a partition
    /// that has split, all parts.
    private func table(
        of holdings: [PeerID: [PartitionHolding]]
    ) -> [(Partition, [PeerID: PartitionHolding])] {
        var map = TableService.emptyCatalog(configuration)
        let certificates = holdings.values.flatMap { $0.map(\.certificate) }
        for certificate in certificates.sorted(by: { $1.view.id.isNewer(than: $0.view.id) }) {
            _ = map.take(certificate)
        }
        var around: [Partition: [PeerID: PartitionHolding]] = [:]
        for (peer, holdings) in holdings {
            for holding in holdings {
                let partition = holding.certificate.view.partition
                // One that a recovery has joined with others lies in what that brought about.
                let whole = map.partition(holding: partition.lowerBound)
                for part in whole.contains(partition) ? [whole] : map.parts(of: partition) {
                    let known = around[part]?[peer]
                    if known.map({ holding.isMore(than: $0) }) ?? true {
                        around[part, default: [:]][peer] = holding
                    }
                }
            }
        }
        return (0..<UInt64(1) << UInt64(configuration.genesisDepth)).flatMap { index in
            guard let partition = Partition(depth: configuration.genesisDepth, index: index) else {
                preconditionFailure("the index has as many bits as the depth")
            }
            return map.parts(of: partition).map { ($0, around[$0] ?? [:]) }
        }
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
        var next = Partition(depth: configuration.genesisDepth, index: 0)
        while let first = next {
            let request = ViewRequest(
                operation: .holdings,
                view: ViewReference(ViewID(partition: first, generation: 0, epoch: 0)))
            let call = await ask(
                [peer], .tableViews, request.protobufBytes(), as: ViewReply.self
            ) { _ in .goOn }
            guard let reply = call.answers.first?.reply, reply.status == .done else { return nil }
            found.adminKey = reply.adminKey
            // Signed with a key that is none here, its certificates would be none either.
            guard found.adminKey == ownAdminKey else { return found }
            var last: Partition?
            for item in reply.holdings {
                guard let holding = holding(item) else { return nil }
                found.partitions.append(holding)
                last = holding.certificate.view.partition
            }
            if reply.isComplete { return found }
            // Pages go forward or the answer is none.
            guard let last, last >= first else { return nil }
            // In key order the first of what a partition splits into comes right after it.
            next = last.children?.lower
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
        guard catalog.mayExist(certificate.view.partition),
            knownCertificate(certificate.view.partition) == certificate
                || certificate.isValid(adminKey: configuration.adminKey)
        else { return nil }
        return PartitionHolding(
            certificate: certificate, held: item.held?.id, isSynced: item.isSynced,
            frozen: item.frozen?.id)
    }

    /// A page of what this peer knows and has, from a partition on.
    func answerHoldings(from first: Partition) -> ViewReply {
        var known: [Partition: (certificate: ViewCertificate, replica: Replica?)] = [:]
        for certificate in catalog.newest {
            known[certificate.view.partition] = (certificate, nil)
        }
        for replica in replicas.values {
            let partition = replica.newest.view.partition
            known[partition] = (catalog[partition] ?? replica.newest, replica)
        }
        let rest = known.filter { $0.key >= first }.sorted { $0.key < $1.key }
        let page = rest.prefix(TableMessageLimits.holdings)
        var reply = ViewReply(status: .done, adminKey: ownAdminKey)
        reply.isComplete = page.count == rest.count
        for (_, (certificate, replica)) in page {
            var holding = PartitionHoldingMessage(certificate: certificate.bytes)
            if let replica {
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
