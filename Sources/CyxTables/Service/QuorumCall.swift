internal import CyxCore
internal import CyxTransport

/// Something that a timer may end.
protocol Finishable: AnyObject {
    func finish()
}

/// One request to several peers: collects replies until there are enough.
///
/// Confined to the table service. Late replies are dropped: nobody waits for the slowest.
final class QuorumCall<Reply>: Finishable {
    struct Answer {
        var peer: PeerID
        var reply: Reply
    }

    enum Verdict {
        case goOn
        /// Enough to go on with, but a little more would help: finish after the grace delay.
        case finishSoon
        case finish
    }

    private(set) var answers: [Answer] = []
    private(set) var failures: [(peer: PeerID, error: RPCError)] = []
    private var outstanding: Int
    private var continuation: CheckedContinuation<Void, Never>?
    private var isFinished = false
    private let judge: ([Answer]) -> Verdict
    private let startGrace: () -> Void
    private var graceStarted = false

    init(
        count: Int, startGrace: @escaping () -> Void, judge: @escaping ([Answer]) -> Verdict
    ) {
        outstanding = count
        self.judge = judge
        self.startGrace = startGrace
    }

    func receive(_ result: Result<Reply, RPCError>, from peer: PeerID) {
        guard !isFinished else { return }
        outstanding -= 1
        switch result {
        case .success(let reply): answers.append(Answer(peer: peer, reply: reply))
        case .failure(let error): failures.append((peer, error))
        }
        switch judge(answers) {
        case .finish: finish()
        case .finishSoon where outstanding > 0:
            if !graceStarted {
                graceStarted = true
                startGrace()
            }
        case .goOn, .finishSoon:
            if outstanding == 0 { finish() }
        }
    }

    /// Drops the answers: they came from who had no right to give any.
    func dismiss() { answers = [] }

    func finish() {
        guard !isFinished else { return }
        isFinished = true
        continuation?.resume()
        continuation = nil
    }

    func wait() async {
        guard !isFinished, outstanding > 0 else { return }
        await withCheckedContinuation { continuation = $0 }
    }
}
