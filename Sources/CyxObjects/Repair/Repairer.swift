internal import CyxCore

/// Watches the segments of which this peer is a custodian, and rebuilds what they miss.
package actor Repairer {
    private let context: ObjectContext

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    package init(context: ObjectContext) {
        self.context = context
    }

    package nonisolated func start() {}

    package func run() async throws {
        try await context.environment.sleep(until: .distantFuture)
    }
}
