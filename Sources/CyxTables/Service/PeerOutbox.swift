internal import CyxCore
internal import CyxTransport

/// Requests of one kind to one peer that wait to travel together.
struct PeerOutbox {
    struct Item {
        var request: [UInt8]
        /// What shows that this peer may make the request, if it is no custodian of the row.
        var permit: [UInt8]?
        var completion: (Result<[UInt8], RPCError>) -> Void
    }

    struct Destination: Hashable {
        var peer: PeerID
        var method: RPCMethod
        var urgency = CallUrgency.foreground
    }

    private(set) var items: [Item] = []
    /// Flushes that were started and have not taken their items yet, and batches under way.
    private(set) var scheduled = false
    private(set) var inFlight = 0

    var isIdle: Bool { items.isEmpty && !scheduled && inFlight == 0 }

    var isFull: Bool { items.count >= TableMessageLimits.waitingItems }

    /// Queues a request; true if a flush must be started.
    mutating func add(_ item: Item) -> Bool {
        items.append(item)
        return startFlush()
    }

    private mutating func startFlush() -> Bool {
        guard !items.isEmpty, !scheduled, inFlight < TableMessageLimits.batchesInFlight else {
            return false
        }
        scheduled = true
        return true
    }

    /// Takes the next batch.
    mutating func takeBatch() -> [Item] {
        scheduled = false
        var bytes = 0
        var count = 0
        var permits: Set<[UInt8]> = []
        for item in items.prefix(TableMessageLimits.batchItems) {
            bytes += item.request.count
            if let permit = item.permit { permits.insert(permit) }
            guard
                count == 0
                    || bytes <= TableMessageLimits.batchBytes
                        && permits.count <= TableMessageLimits.batchPermits
            else { break }
            count += 1
        }
        let batch = Array(items.prefix(count))
        items.removeFirst(count)
        inFlight += batch.isEmpty ? 0 : 1
        return batch
    }

    /// True if another flush must be started at once, for what did not fit.
    mutating func continueFlush() -> Bool { startFlush() }

    /// A batch has been answered; true if another flush must be started.
    mutating func finishBatch() -> Bool {
        inFlight -= 1
        return startFlush()
    }
}
