package import CyxCore
internal import CyxObjects
package import CyxTransport
internal import Glibc
internal import Synchronization

/// A peer's messaging as its shard holder sees it: everything passes, but reads of shards are
/// answered with a lie while one is ordered. What the peer stores stays right.
///
/// The lie is a word in a file that is looked at for each read, so that one process can be honest
/// at first and tell several lies after another.
package final class LyingMessaging: PeerMessaging {
    private let messaging: any PeerMessaging
    private let orders: String
    private let random = KernelRandom()
    private let state = Mutex(State())

    private struct State {
        /// True answers of before, newest last: what a stale lie is made of.
        var answers: [[UInt8]] = []
        /// Told once each on standard error.
        var told: Set<String> = []
    }

    private static let answersKept = 4

    /// `orders`: the file that names a `Lie`; the peer is honest while it is not there.
    package init(_ messaging: any PeerMessaging, orders: String) {
        self.messaging = messaging
        self.orders = orders
    }

    package var localPeer: PeerID { messaging.localPeer }

    package func handle(
        _ method: RPCMethod,
        with handler:
            @escaping @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws
            -> [UInt8]
    ) {
        guard method == .readShard else { return messaging.handle(method, with: handler) }
        messaging.handle(method) { [self] remote, request in
            let answer = try await handler(remote, request)
            // A peer does not deceive itself.
            guard remote.peer != localPeer, let lie = ordered() else {
                keep(answer)
                return answer
            }
            guard let told = try told(lie, insteadOf: answer) else { return answer }
            note(lie, about: try ReadShardRequest(protobuf: request))
            return told
        }
    }

    package func learn(_ contact: PeerContact) { messaging.learn(contact) }

    package func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact {
        try await messaging.identify(address, timeout: timeout)
    }

    package func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        try await messaging.call(peer, method, request, timeout: timeout)
    }

    // MARK: Lies

    private func ordered() -> Lie? {
        let descriptor = open(orders, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var word = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &word, word.count)
        let text = String(decoding: word.prefix(max(0, count)), as: UTF8.self)
        return Lie(rawValue: text.filter { !$0.isWhitespace })
    }

    /// Nil where there is nothing to lie with yet.
    private func told(_ lie: Lie, insteadOf answer: [UInt8]) throws -> [UInt8]? {
        var response = try ReadShardResponse(protobuf: answer)
        switch lie {
        case .garbage:
            response.data = random.bytes(response.data.count)
        case .truncated:
            response.data.removeLast(response.data.count / 2 + 1)
        case .stale:
            return state.withLock { state in
                defer { LyingMessaging.keep(answer, in: &state) }
                return state.answers.last { $0 != answer }
            }
        case .malformed:
            return [UInt8](repeating: 0xFF, count: 64)
        }
        return response.protobufBytes()
    }

    private func keep(_ answer: [UInt8]) {
        state.withLock { LyingMessaging.keep(answer, in: &$0) }
    }

    private static func keep(_ answer: [UInt8], in state: inout State) {
        guard !state.answers.contains(answer) else { return }
        if state.answers.count == answersKept { state.answers.removeFirst() }
        state.answers.append(answer)
    }

    /// Says on standard error that a shard was lied about: `lied garbage SEGMENT INDEX`.
    private func note(_ lie: Lie, about request: ReadShardRequest) {
        let line = "lied \(lie) \(Hex.encode(request.segment)) \(request.index)\n"
        guard state.withLock({ $0.told.insert(line).inserted }) else { return }
        let bytes = Array(line.utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// What is sent instead of the bytes of a shard.
package enum Lie: String, Sendable {
    /// As many random bytes, with the proof of the right ones.
    case garbage
    /// The first half of the bytes, with the proof of all.
    case truncated
    /// What was the right answer to another question, with its proof.
    case stale
    /// Bytes that are no message.
    case malformed
}
