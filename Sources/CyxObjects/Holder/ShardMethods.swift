internal import CyxCore
package import CyxTransport

extension RPCMethod {
    package static let appendShard = RPCMethod(rawValue: 0x0301)
    package static let readShard = RPCMethod(rawValue: 0x0302)
    package static let deleteSegment = RPCMethod(rawValue: 0x0303)
    package static let dropUpload = RPCMethod(rawValue: 0x0304)
    package static let reportSegment = RPCMethod(rawValue: 0x0305)
    package static let auditShard = RPCMethod(rawValue: 0x0306)
    package static let claimSegment = RPCMethod(rawValue: 0x0310)
}

/// Why a holder refused, as `RPCFailure.code`.
package enum ShardRefusal: UInt16, Sendable {
    case malformed = 1
    /// The offset is not where the file ends: an earlier part is missing.
    case outOfOrder = 2
    case noSpace = 3
    /// The file's hash is not what the core says.
    case wrongRoot = 4
    case notFound = 5
    /// Another request writes this file, or too many files are being written.
    case busy = 6
    case storeFailed = 7
    case notOwner = 8
    /// The file is there already, finished and intact.
    case exists = 9
    /// The peer has stopped serving, since its store is gone.
    case suspended = 10

    func failure(_ message: String) -> RPCFailure {
        RPCFailure(code: rawValue, message: message)
    }

    init?(_ error: RPCError) {
        guard case .refused(let failure) = error, let refusal = ShardRefusal(rawValue: failure.code)
        else { return nil }
        self = refusal
    }
}

/// How long peers wait for each other over shards.
package struct ObjectTimings: Sendable {
    /// One append, the flush at its end included.
    package var appendTimeout: Duration
    /// One read of a range.
    package var readTimeout: Duration
    /// How long an append waits for stragglers once enough holders have it.
    package var stragglerGrace: Duration
    /// Least and most time before a read asks one holder more.
    package var hedge: (least: Duration, most: Duration)
    /// How long a bucket's row is believed without asking again.
    package var bucketCache: Duration
    /// How long an unfinished upload of a shard is kept (B5).
    package var unfinishedUpload: Duration
    /// First and longest pause between attempts to remove what a deleted version left behind.
    package var cleanupRetry: (first: Duration, most: Duration)
    package var repair: RepairTimings
    package var repairLimits: RepairLimits
    package var audits: AuditTimings
    package var scrub: ScrubTimings
    package var collection: CollectionTimings
    package var leases: LeaseTimings

    package static let production = ObjectTimings(
        appendTimeout: .seconds(15), readTimeout: .seconds(10), stragglerGrace: .seconds(2),
        hedge: (.milliseconds(50), .seconds(2)), bucketCache: .seconds(5),
        unfinishedUpload: .seconds(24 * 3600), cleanupRetry: (.seconds(1), .seconds(300)),
        repair: .production, repairLimits: .production, audits: .production, scrub: .production,
        collection: .production, leases: .production)

    package static let devnet = ObjectTimings(
        appendTimeout: .seconds(8), readTimeout: .seconds(4), stragglerGrace: .seconds(1),
        hedge: (.milliseconds(50), .seconds(1)), bucketCache: .seconds(2),
        unfinishedUpload: .seconds(3600), cleanupRetry: (.milliseconds(200), .seconds(10)),
        repair: .devnet, repairLimits: .devnet, audits: .devnet, scrub: .devnet,
        collection: .devnet, leases: .devnet)
}
