import CyxTables

extension TableTimings {
    /// Of worlds without a transport, where nothing takes long that is not held up.
    static let hasty: TableTimings = {
        var timings = TableTimings.devnet
        timings.callTimeout = .milliseconds(300)
        timings.operationTimeout = .milliseconds(1500)
        timings.graceDelay = .milliseconds(5)
        timings.backoff = (.milliseconds(2), .milliseconds(40))
        return timings
    }()
}
