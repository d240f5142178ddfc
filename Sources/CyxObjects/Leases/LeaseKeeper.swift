internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// How long leases bind, and how often they are looked at.
package struct LeaseTimings: Sendable {
    /// How long after a lease's end holders go on keeping what it covered: far longer than clocks
    /// differ and than its gateways may be down.
    package var grace: Duration
    /// How long after a lease's end nobody looks any more whether holders have what it covered, nor
    /// mends it: well before they delete it.
    var neglect: Duration { grace / 2 }
    /// How long after a lease was renewed too late nobody is asked for what its holders may still
    /// be taking out of their trash.
    package var settle: Duration
    /// How long a lease that was read is believed without asking again.
    package var memory: Duration
    /// Pause of a gateway without a lease between two looks whether there is one.
    package var look: Duration

    package init(grace: Duration, settle: Duration, memory: Duration, look: Duration) {
        self.grace = grace
        self.settle = settle
        self.memory = memory
        self.look = look
    }

    package static let production = LeaseTimings(
        grace: .seconds(7 * 86_400), settle: .seconds(3 * 86_400), memory: .seconds(3600),
        look: .seconds(3600))

    package static let devnet = LeaseTimings(
        grace: .seconds(20), settle: .seconds(30), memory: .seconds(2), look: .seconds(5))
}

/// Renews one account's lease for as long as its gateway runs: one row for all that the account
/// stores, at a third of its time, so that two renewals may fail.
struct LeaseKeeper: Sendable {
    /// Renewals within one lease.
    private static let renewals = 3

    let context: ObjectContext
    let keys: AccountKeys
    /// For how long the account has its data kept at a time; nil: for ever.
    let length: Duration?

    func run() async throws {
        let metrics = context.environment.metrics
        let renewed = metrics.counter("cyxcloud_lease_renewals_total", [("result", "done")])
        let failed = metrics.counter("cyxcloud_lease_renewals_total", [("result", "failed")])
        let retry = context.timings.cleanupRetry
        var pause = retry.first
        while true {
            do throws(TableError) {
                try await renew()
                if length != nil { renewed.add() }
                pause = retry.first
            } catch {
                failed.add()
                context.logger.warning(
                    "the account's lease could not be renewed", [("error", "\(error)")])
                try await context.environment.sleep(for: pause)
                pause = min(pause * 2, retry.most)
                continue
            }
            let rest = length.map { $0 / LeaseKeeper.renewals } ?? context.timings.leases.look
            try await context.environment.sleep(for: rest)
        }
    }

    private func renew() async throws(TableError) {
        let now = context.environment.wallTime()
        let end = length.map {
            WallTime(milliseconds: now.milliseconds + $0.nanoseconds / 1_000_000)
        }
        let margin = context.timings.leases.neglect
        let signing = keys.signing
        let key = ObjectRows.lease(keys.account)
        let former = try await context.tables.update(key) { state -> (RegisterChange, Lease?) in
            let present = Lease(state.value, of: keys.account)
            guard let next = present.renewed(until: end, now: now, margin: margin) else {
                return (.abandon, nil)
            }
            return (.set(next.signed(by: signing)), present)
        }
        guard let former, let until = former.until else { return }
        if length == nil {
            context.logger.warning(
                "the account had a lease, which this gateway, having none, made endless",
                [("until", until.rfc3339)])
        } else if former.hasEnded(for: margin, at: now) {
            context.logger.warning(
                "the account's lease had ended; holders bring back what is still in their trash",
                [("until", until.rfc3339)])
        }
    }
}
