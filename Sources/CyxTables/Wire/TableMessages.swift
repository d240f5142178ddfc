internal import CyxCore
internal import CyxTransport

extension RPCMethod {
    /// Operations on rows, many in one request.
    static let tableRows = RPCMethod(rawValue: 0x0201)
    /// Finding, changing and syncing views, many in one request.
    static let tableViews = RPCMethod(rawValue: 0x0202)
    /// What only custodians may do with rows, asked of one of them; many in one request.
    static let tableErrands = RPCMethod(rawValue: 0x0203)
}

enum TableMessageLimits {
    /// Requests to one peer that travel together.
    static let batchItems = 256
    static let batchBytes = 4 << 20
    /// Permits that they bring along, one for each account.
    static let batchPermits = 64
    /// Errands of others that a custodian runs at once.
    static let errands = 64
    /// Requests of one kind that may wait for one peer; more fail at once.
    static let waitingItems = 16_384
    /// Rows and bytes of one page; it ends with the row that reaches the bytes. Small enough to
    /// arrive within a call's time over a link that loses 5 % (Mathis et al. 1997: about 1.5 MB/s
    /// at 5 ms), while others pull too.
    static let pageRows = RowLimits.scanPageRows
    static let pageBytes = 256 << 10
    /// Batches of one kind under way to one peer; what comes meanwhile joins the next batch.
    static let batchesInFlight = 4
    /// Partitions in one answer on holdings, each with a certificate of 2 KiB.
    static let holdings = 64
}

extension ViewReference {
    init(_ id: ViewID) {
        self.init(
            depth: UInt32(id.partition.depth), index: id.partition.index,
            generation: id.generation, epoch: id.epoch)
    }

    var id: ViewID? {
        guard let depth = UInt8(exactly: depth),
            let partition = Partition(depth: depth, index: index)
        else { return nil }
        return ViewID(partition: partition, generation: generation, epoch: epoch)
    }
}
