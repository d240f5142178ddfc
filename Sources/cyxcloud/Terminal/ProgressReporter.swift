internal import CyxClient
internal import CyxCore
internal import Synchronization

/// Shows how far a transfer is: a bar that is redrawn on a terminal, a line every 10 s elsewhere, a
/// JSON line every 2 s with `--json`.
final class ProgressReporter: Sendable {
    private static let barInterval = Duration.milliseconds(200)
    private static let lineInterval = Duration.seconds(10)
    private static let jsonInterval = Duration.seconds(2)

    private struct State {
        var window = RateWindow()
        var isStopped = false
    }

    private let label: String
    private let total: UInt64
    private let meter: TransferMeter
    private let console: Console
    private let executor: any PeerExecutor
    private let begin: Instant
    private let state = Mutex(State())

    init(
        label: String, total: UInt64, meter: TransferMeter, console: Console,
        executor: any PeerExecutor
    ) {
        self.label = label
        self.total = total
        self.meter = meter
        self.console = console
        self.executor = executor
        begin = executor.now()
    }

    private var hasBar: Bool { StandardStream.error.isTerminal && !console.isJSON }

    func start() {
        guard !console.isQuiet else { return }
        schedule()
    }

    /// Removes the bar. Returns how long it took.
    func stop() -> Duration {
        state.withLock { $0.isStopped = true }
        if hasBar, !console.isQuiet { StandardStream.error.write("\r\u{1b}[K") }
        return executor.now() - begin
    }

    private func schedule() {
        let interval =
            console.isJSON ? Self.jsonInterval : hasBar ? Self.barInterval : Self.lineInterval
        _ = executor.schedule(at: executor.now() + interval) { self.show() }
    }

    private func show() {
        let now = executor.now()
        let moved = meter.movedBytes
        let (rate, isStopped) = state.withLock { ($0.window.add(moved, at: now), $0.isStopped) }
        guard !isStopped else { return }
        let progress = ProgressState(
            label: label, total: total, moved: moved, safe: meter.safeBytes, elapsed: now - begin,
            rate: rate)
        if console.isJSON {
            console.emit(progress.json)
        } else if hasBar {
            StandardStream.error.write("\r\u{1b}[K" + progress.line(hasBar: true))
        } else {
            StandardStream.error.write(progress.line(hasBar: false) + "\n")
        }
        schedule()
    }
}
