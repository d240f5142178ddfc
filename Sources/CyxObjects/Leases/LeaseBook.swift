internal import CyxCore
internal import CyxCrypto
internal import CyxTables
internal import Synchronization

/// Accounts' leases as they were read a while ago, so that who looks after many segments of an
/// account asks once.
package final class LeaseBook: Sendable {
    /// Accounts that are remembered.
    private static let capacity = 1 << 14

    private let known = Mutex(
        BoundedCache<AccountID, (lease: Lease, read: Instant)>(capacity: LeaseBook.capacity))

    package init() {}

    func lease(
        of account: AccountID, in context: ObjectContext
    ) async throws(TableError) -> Lease {
        let now = context.environment.now()
        let remembered = known.withLock { $0[account] }
        if let remembered, now - remembered.read < context.timings.leases.memory {
            return remembered.lease
        }
        let lease = try await context.readLease(of: account)
        known.withLock { $0[account] = (lease, now) }
        return lease
    }
}
