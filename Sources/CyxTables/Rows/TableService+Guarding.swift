internal import CyxCore
internal import CyxCrypto
internal import CyxTransport

/// Whose changes of rows are taken: those of custodians, and others' as far as the configuration lets
/// them (`RowGuard`).
extension TableService {
    /// Who asks for something, and in whose names it may.
    struct Author {
        var peer: PeerID
        /// The account keys, and delegates of accounts, whose permits came along.
        var authorities: [RowAuthority]
    }

    /// Certificates of given-up generations that are remembered as valid: one for each partition of
    /// which somebody hands rows over.
    private static let formerViewsMax = 1 << 10

    /// The requests of a batch, and whose they are.
    func decode(
        _ batch: [UInt8], from sender: PeerID
    ) throws -> (requests: [RowRequest], author: Author) {
        let batch = try TablesBatch(protobuf: batch)
        guard batch.items.count <= TableMessageLimits.batchItems,
            batch.permits.count <= TableMessageLimits.batchPermits
        else { throw RPCFailure(code: 2, message: "too many items") }
        var requests: [RowRequest] = []
        for item in batch.items { requests.append(try RowRequest(protobuf: item)) }
        let authorities =
            batch.permits.isEmpty
            ? [] : configuration.rowGuard.authorities(batch.permits, sender, environment.wallTime())
        return (requests, Author(peer: sender, authorities: authorities))
    }

    /// Whether `sender` is a member of the view that a request is for.
    func isCustodian(_ sender: PeerID, _ request: RowRequest) -> Bool {
        request.view?.id.flatMap { replicas[$0.partition]?.view.rank(of: sender) } != nil
    }

    // MARK: Custodians

    /// Why a request to change a register is not met; nil: it is, or it is none.
    func refusal(_ request: RowRequest, _ key: RowKey, by author: Author) -> String? {
        guard key.table.isRegister, [.prepare, .accept, .mend].contains(request.operation) else {
            return nil
        }
        // Mends come from custodians, and from who was one before a majority was lost (A5): nothing of
        // that time is taken where only the present ones may write.
        if configuration.custodianTables.contains(key.table) {
            return "only its custodians may do that to the row"
        }
        guard configuration.rowGuard.tables.contains(key.table),
            !isOfFormerMember(request, author.peer)
        else { return nil }
        if configuration.rowGuard.errandTables.contains(key.table) {
            return "only its custodians propose for the row"
        }
        return configuration.rowGuard.refusal(
            RowChange(key: key, sender: author.peer, authorities: author.authorities))
    }

    /// Why `addition` is not merged into `row`; nil: it is, if it changes anything.
    func refusal(
        of addition: MergeRow, to row: MergeRow, _ key: RowKey, _ request: RowRequest,
        by author: Author
    ) -> String? {
        guard configuration.rowGuard.tables.contains(key.table) else { return nil }
        let twoPhase = configuration.twoPhaseTables.contains(key.table)
        var change = RowChange(key: key, sender: author.peer, authorities: author.authorities)
        for item in addition.items {
            if let present = row[item.element],
                present == item.entry || !item.entry.supersedes(present, twoPhase: twoPhase)
            {
                continue
            }
            if item.entry.value == nil {
                change.removed.append(item.element)
            } else {
                change.written.append(item.element)
            }
        }
        guard !change.written.isEmpty || !change.removed.isEmpty,
            !isOfFormerMember(request, author.peer)
        else { return nil }
        return configuration.rowGuard.refusal(change)
    }

    /// Whether a mend comes with the proof that its sender was a member in a generation that has been
    /// given up since: what only it has is not lost (A5).
    private func isOfFormerMember(_ request: RowRequest, _ sender: PeerID) -> Bool {
        guard request.operation == .mend, let id = request.view?.id else { return false }
        let certificate: ViewCertificate
        do {
            certificate = try ViewCertificate(bytes: request.certificate)
        } catch {
            return false
        }
        let former = certificate.view
        guard former.partition.overlaps(id.partition), former.id.generation < id.generation,
            former.contains(sender)
        else { return false }
        let name = BLAKE3.hash(request.certificate)
        if formerViews.contains(name) { return true }
        guard certificate.isValid(adminKey: configuration.adminKey) else { return false }
        if formerViews.count >= TableService.formerViewsMax { formerViews = [] }
        formerViews.insert(name)
        return true
    }

    // MARK: Others

    /// What shows the members of `view` that this peer may change a row; nil if nothing does, or
    /// nothing has to.
    func permit(for key: RowKey, _ view: View) -> [UInt8]? {
        guard configuration.rowGuard.tables.contains(key.table), !view.contains(localPeer) else {
            return nil
        }
        return configuration.rowGuard.permit(
            RowChange(key: key, sender: localPeer), environment.wallTime())
    }

    /// Whether this peer may not make the changes that it takes to read a row of which custodians have
    /// copies that differ.
    func mustAskCustodian(_ key: RowKey, _ view: View) -> Bool {
        guard !view.contains(localPeer) else { return false }
        return configuration.custodianTables.contains(key.table)
            || configuration.rowGuard.errandTables.contains(key.table)
            || configuration.rowGuard.tables.contains(key.table) && permit(for: key, view) == nil
    }
}
