internal import CyxCore
internal import CyxTransport

/// Something that timers hurry on.
protocol TimedCall: AnyObject {
    func widen()
    func finish()
}

/// One request to several peers: collects replies until there are enough.
///
/// Where a part of them can be enough, only so many are asked at first, and the others when those
/// do not suffice or take longer than usual (hedged requests: Dean and Barroso, "The Tail at
/// Scale", 2013). Confined to the table service. Late replies are dropped: nobody waits for the
/// slowest.
final class QuorumCall<Reply>: TimedCall {
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
    private var outstanding = 0
    /// Who was not asked yet.
    private var spare: ArraySlice<PeerID>
    private let send: (QuorumCall, PeerID) -> Void
    private var continuation: CheckedContinuation<Void, Never>?
    private var isFinished = false
    private let judge: ([Answer]) -> Verdict
    private let startGrace: () -> Void
    private var graceStarted = false

    init(
        _ peers: [PeerID], send: @escaping (QuorumCall, PeerID) -> Void,
        startGrace: @escaping () -> Void, judge: @escaping ([Answer]) -> Verdict
    ) {
        spare = peers[...]
        self.send = send
        self.judge = judge
        self.startGrace = startGrace
    }

    /// Asks the next `count` peers.
    func ask(_ count: Int) {
        let next = spare.prefix(count)
        spare = spare.dropFirst(count)
        outstanding += next.count
        for peer in next { send(self, peer) }
    }

    /// Asks everyone who was not asked yet.
    func widen() {
        if !isFinished { ask(spare.count) }
    }

    func receive(_ result: Result<Reply, RPCError>, from peer: PeerID) {
        guard !isFinished else { return }
        outstanding -= 1
        switch result {
        case .success(let reply): answers.append(Answer(peer: peer, reply: reply))
        case .failure(let error): failures.append((peer, error))
        }
        switch judge(answers) {
        case .finish: return finish()
        case .finishSoon:
            widen()
            if outstanding > 0, !graceStarted {
                graceStarted = true
                startGrace()
            }
        case .goOn:
            // One that fails will not be the last that is needed.
            if outstanding == 0 || !failures.isEmpty { widen() }
        }
        if outstanding == 0 { finish() }
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
