internal import CyxCore

/// Re-codes objects whose redundancy is below what the network can hold by now.
actor Recoder {
    private unowned let gateway: ObjectGateway
    private let context: ObjectContext

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    init(gateway: ObjectGateway, context: ObjectContext) {
        self.gateway = gateway
        self.context = context
    }

    func run() async throws {
        while true {
            try await context.environment.sleep(for: context.timings.repair.recode)
        }
    }
}
