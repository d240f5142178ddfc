internal import CyxCore
internal import CyxOverlay
internal import CyxTransport

/// Finding the view of a partition from anywhere.
extension TableService {
    /// How many peers are asked at once for a view, and how many in all.
    static let lookupWidth = 8
    static let lookupLimit = 64

    /// The newest view around a position that can be found; keeps looking until the operation's time
    /// is up.
    func locate(
        _ position: Digest, _ budget: inout OperationBudget
    ) async throws(TableError) -> ViewCertificate {
        while true {
            let partition = partition(holding: position)
            if let known = knownCertificate(partition) { return known }
            await lookUp(partition, around: position)
            if let known = knownCertificate(self.partition(holding: position)) { return known }
            budget.reason = "nobody knows who holds partition \(partition)"
            try await pause(&budget)
        }
    }

    /// Asks those who are taught views of the partition, and others while everybody is known, until
    /// someone knows one, or that the partition has split.
    func lookUp(_ partition: Partition, around position: Digest? = nil) async {
        let bytes = TableService.question(about: partition, around: position).protobufBytes()
        let likely = await membership.keepers(
            of: partition.lowerBound, count: TableService.lookupLimit)
        var rest = likely[...]
        while !rest.isEmpty {
            let peers = Array(rest.prefix(TableService.lookupWidth))
            rest = rest.dropFirst(peers.count)
            let call = await ask(peers, .tableViews, bytes, as: ViewReply.self) { answers in
                answers.contains { $0.reply.status == .done } ? .finishSoon : .goOn
            }
            for answer in call.answers where answer.reply.status == .done {
                adopt(answer.reply.certificate, for: partition)
            }
            if knownCertificate(partition) != nil || catalog.hasSplit(partition) { return }
        }
    }

    /// Asks for the newest view of a partition; should it have split, for that around `position`.
    private static func question(
        about partition: Partition, around position: Digest? = nil
    ) -> ViewRequest {
        ViewRequest(
            operation: .find,
            view: ViewReference(ViewID(partition: partition, generation: 0, epoch: 0)),
            key: StorageKey.rowBound(position ?? partition.lowerBound))
    }

    /// Remembers a certificate of `partition`, or of a partition around it or within, if it is valid
    /// and newer than what is known; returns it if it is valid or already known.
    @discardableResult
    func adopt(_ bytes: [UInt8], for partition: Partition) -> ViewCertificate? {
        let certificate: ViewCertificate
        do {
            certificate = try ViewCertificate(bytes: bytes)
        } catch {
            return nil
        }
        guard certificate.view.partition.overlaps(partition),
            catalog.mayExist(certificate.view.partition)
        else { return nil }
        let known = knownCertificate(certificate.view.partition)
        if known?.view == certificate.view { return known }
        guard
            certificate.isValid(
                adminKey: configuration.adminKey, without: configuration.brokenRules)
        else { return nil }
        record(certificate)
        return certificate
    }

    /// Learns later views from replies, teaches those who are behind, and looks further when too
    /// few answered: perhaps all custodians have changed since.
    func learn(
        from call: QuorumCall<RowReply>, view certificate: ViewCertificate, around key: [UInt8]
    ) async {
        let view = certificate.view
        for answer in call.answers {
            switch answer.reply.status {
            case .otherView: adopt(answer.reply.certificate, for: view.partition)
            case .behind: install(certificate, at: answer.peer)
            default: continue
            }
        }
        enterKnownView(view.partition)
        // So many members of a lost generation may have come back that they are a quorum of it again
        // (A5). No seal of theirs was needed to begin the next one, so their word counts for nothing
        // as soon as anyone's answer shows that there is one.
        let position = StorageKey.position(ofBound: key)
        if let known = successor(of: view.id, around: position),
            known.view.id.generation > view.id.generation
        {
            call.dismiss()
            return
        }
        let conclusive = call.answers.count { TableService.isConclusive($0.reply.status) }
        guard conclusive < view.quorum, !isOver(view.id) else { return }
        await ask(about: view.partition)
    }

    private static func isConclusive(_ status: RowStatus) -> Bool {
        switch status {
        case .done, .refused, .rejected, .tooLarge, .busy: true
        default: false
        }
    }

    /// Asks the likeliest custodians once for a later view, and the members of `view`, if any.
    func ask(about partition: Partition, alsoOf view: View? = nil) async {
        let request = TableService.question(about: partition)
        var peers = await membership.keepers(
            of: partition.lowerBound, count: TableService.lookupWidth)
        let members = view.map { reachable($0) } ?? []
        peers += members.filter { $0 != localPeer && !peers.contains($0) }
        guard !peers.isEmpty else { return }
        let call = await ask(
            peers, .tableViews, request.protobufBytes(), as: ViewReply.self
        ) { answers in
            answers.count > peers.count / 2 ? .finishSoon : .goOn
        }
        for answer in call.answers where answer.reply.status == .done {
            adopt(answer.reply.certificate, for: partition)
        }
        enterKnownView(partition)
    }

    // MARK: Being found

    /// How often those who are asked for views are told again: others may have come closer.
    static let teachInterval = Duration.seconds(600)
    /// How many are told: whoever asks may see others closer to the partition than who tells.
    package static let teachWidth = 20

    /// Tells those whom others ask for the partition's view. While whoever looks asks everybody
    /// anyway, nobody needs to be told.
    func teach(_ certificate: ViewCertificate) async {
        let snapshot = membership.snapshot
        guard snapshot.isPartial || snapshot.reachable.count > TableService.lookupLimit else {
            return
        }
        for certificate in [certificate, certificate.sibling].compactMap({ $0 }) {
            let view = certificate.view
            let keepers = await membership.keepers(
                of: view.partition.lowerBound, count: TableService.teachWidth)
            for peer in keepers where !view.contains(peer) { install(certificate, at: peer) }
        }
    }

    /// Has the first custodian that can be reached of each partition tell them, again and again.
    func teachForever() async {
        do {
            while true {
                try await environment.sleep(for: TableService.teachInterval)
                for partition in replicas.keys.sorted() {
                    guard let replica = replicas[partition], replica.isServing else { continue }
                    let members = membership.snapshot.members
                    let first = replica.view.peers.first {
                        $0 == localPeer || members[$0]?.isReachable == true
                    }
                    if first == localPeer { await teach(replica.certificate) }
                }
            }
        } catch {
            logger.debug("stopped")
        }
    }
}
