internal import CyxCore
internal import CyxCrypto
internal import Synchronization

/// The MD5s of all bodies that a gateway is taking, for their ETags.
///
/// One MD5 cannot be made quicker, several at once can (`MD5.update`). So nobody waits for a piece of
/// his own: pieces gather until a body has `dueBytes` of them, or has ended, and then every body is
/// taken on by one piece at a time. Whoever comes with more than `waitingBytes` waits.
actor BodyDigests {
    /// What a body may gather before its pieces are hashed.
    static let dueBytes = 2 << 20
    /// What a body may have waiting: this much memory for each.
    static let waitingBytes = 4 << 20

    /// One body's MD5.
    final class Body: Sendable {
        fileprivate struct State {
            var digest = MD5()
            var waiting: [[UInt8]] = []
            var waitingBytes = 0
            var hasEnded = false
            /// A piece of it is being hashed.
            var isBusy = false
            /// Unsafe: a simulated crash drops it with the pool's work.
            var waiter: UnsafeContinuation<Void, Never>?

            var isDue: Bool {
                !waiting.isEmpty && (hasEnded || waitingBytes >= BodyDigests.dueBytes)
            }
        }

        fileprivate let state = Mutex(State())
    }

    private let environment: Environment
    /// Those with pieces, in the order in which they came.
    private var bodies: [Body] = []
    private var isRunning = false

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        environment.executor.asUnownedSerialExecutor()
    }

    init(environment: Environment) {
        self.environment = environment
    }

    /// Adds the next bytes of a body; one call at a time for each body.
    func add(_ bytes: [UInt8], to body: Body, isLast: Bool) async {
        body.state.withLock { state in
            state.hasEnded = isLast
            guard !bytes.isEmpty else { return }
            state.waiting.append(bytes)
            state.waitingBytes += bytes.count
        }
        if !bytes.isEmpty, !bodies.contains(where: { $0 === body }) { bodies.append(body) }
        startRun()
        while body.state.withLock({ $0.waitingBytes > BodyDigests.waitingBytes }) {
            await change(of: body)
        }
    }

    /// The MD5 of all that was added.
    func finish(_ body: Body) async -> [UInt8] {
        body.state.withLock { $0.hasEnded = true }
        startRun()
        while body.state.withLock({ $0.isBusy || !$0.waiting.isEmpty }) {
            await change(of: body)
        }
        return body.state.withLock { $0.digest }.finalize()
    }

    private func change(of body: Body) async {
        await withUnsafeContinuation { waiter in body.state.withLock { $0.waiter = waiter } }
    }

    /// Takes the next piece of as many bodies as there are lanes, those that are due first.
    private func startRun() {
        guard !isRunning else { return }
        let due = bodies.filter { body in body.state.withLock { $0.isDue } }
        guard !due.isEmpty else { return }
        isRunning = true
        let others = bodies.filter { body in !due.contains { $0 === body } }
        let taken = Array((due + others).prefix(MD5.lanes))
        let work = taken.map { body in
            body.state.withLock { state in
                let piece = state.waiting.removeFirst()
                state.waitingBytes -= piece.count
                state.isBusy = true
                return (digest: state.digest, piece: piece)
            }
        }
        bodies.removeAll { body in body.state.withLock { $0.waiting.isEmpty } }
        environment.blocking.submit { [weak self, environment] in
            var digests = work.map(\.digest)
            MD5.update(&digests, with: work.map(\.piece))
            guard let self else { return }
            let results = digests
            environment.executor.execute {
                self.assumeIsolated { $0.finishRun(taken, results) }
            }
        }
    }

    private func finishRun(_ taken: [Body], _ digests: [MD5]) {
        isRunning = false
        for (body, digest) in zip(taken, digests) {
            let waiter = body.state.withLock { state in
                state.digest = digest
                state.isBusy = false
                return state.waiter.take()
            }
            waiter?.resume()
        }
        startRun()
    }
}
