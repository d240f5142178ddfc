internal import Synchronization

/// The parts of a program that run, by name, so that one that does not end can be told apart.
package final class RunningParts: Sendable {
    private let running = Mutex<[String]>([])

    package init() {}

    /// In the order in which they began.
    package var names: [String] { running.withLock { $0 } }

    /// Runs `body` as the part `name`.
    package func run<Value>(
        _ name: String, _ body: () async throws -> Value
    ) async rethrows -> Value {
        running.withLock { $0.append(name) }
        defer {
            running.withLock { running in
                if let index = running.firstIndex(of: name) { running.remove(at: index) }
            }
        }
        return try await body()
    }
}
