import CyxCore
import Synchronization
import Testing

/// Runs `body` as a root task of a reactor on a thread of its own.
func onReactor<Value: Sendable>(
    _ body: @escaping @Sendable (Reactor) async throws -> Value
) async throws -> Value {
    let reactor = try Reactor()
    try reactor.start()
    defer { reactor.stop() }
    return try await Task(executorPreference: reactor) { try await body(reactor) }.value
}

final class SilentSink: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

final class NoStorage: StorageDevice {
    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore {
        throw .closed
    }
    func freeBytes() -> Int64 { 0 }
}

func testEnvironment(_ reactor: Reactor) throws -> Environment {
    .production(
        reactor: reactor, storage: NoStorage(), blocking: try ThreadPool(threadCount: 2),
        sink: SilentSink(), metrics: MetricsRegistry())
}

actor Tally {
    nonisolated let reactor: Reactor
    private var count = 0
    init(_ reactor: Reactor) { self.reactor = reactor }
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    func add() -> Bool {
        count += 1
        return reactor.isCurrent
    }

    nonisolated func addFromCallback() { assumeIsolated { _ = $0.add() } }
    func value() -> Int { count }
}

struct ReactorTests {
    @Test func timersFireInOrderOfDeadlineThenOfScheduling() async throws {
        let order = try await onReactor { reactor in
            await withCheckedContinuation { (done: CheckedContinuation<[Int], Never>) in
                let fired = Mutex<[Int]>([])
                let shared = Shared(fired)
                let now = reactor.now()
                for (index, delay) in [30, 10, 20, 10].enumerated() {
                    _ = reactor.schedule(at: now + .milliseconds(delay)) {
                        shared.append(index)
                        if shared.values.count == 4 { done.resume(returning: shared.values) }
                    }
                }
            }
        }
        #expect(order == [1, 3, 2, 0])
    }

    @Test func cancelledTimersDoNotFire() async throws {
        let fired = try await onReactor { reactor in
            let shared = Shared(Mutex([]))
            let now = reactor.now()
            let timers = (0..<500).map { index in
                reactor.schedule(at: now + .milliseconds(5)) { shared.append(index) }
            }
            for timer in timers where timer != timers[250] { reactor.cancel(timer) }
            let environment = try testEnvironment(reactor)
            try await environment.sleep(for: .milliseconds(20))
            return shared.values
        }
        #expect(fired == [250])
    }

    @Test func aTimerFromAnotherThreadWakesASleepingReactor() async throws {
        let reactor = try Reactor()
        try reactor.start()
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            _ = reactor.schedule(at: reactor.now() + .milliseconds(5)) { done.resume() }
        }
        reactor.stop()
        reactor.join()
    }

    @Test func cancellingATaskEndsItsSleepAtOnce() async throws {
        try await onReactor { reactor in
            let environment = try testEnvironment(reactor)
            let start = environment.now()
            let sleeper = Task(executorPreference: reactor) {
                try await environment.sleep(for: .seconds(30))
            }
            try await environment.sleep(for: .milliseconds(5))
            sleeper.cancel()
            await #expect(throws: CancellationError.self) { try await sleeper.value }
            #expect(environment.now() - start < .seconds(10))
        }
    }

    @Test func actorsRunOnTheReactorAndCallbacksMayAssumeTheirIsolation() async throws {
        let count = try await onReactor { reactor in
            let tally = Tally(reactor)
            #expect(await tally.add())
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                _ = reactor.schedule(at: reactor.now()) {
                    tally.addFromCallback()
                    reactor.execute {
                        tally.addFromCallback()
                        done.resume()
                    }
                }
            }
            return await tally.value()
        }
        #expect(count == 3)
    }

    @Test func workOfThePoolReturnsToTheReactor() async throws {
        try await onReactor { reactor in
            let pool = try ThreadPool(threadCount: 2)
            for _ in 0..<100 {
                let wasOnReactor = await pool.run { reactor.isCurrent }
                #expect(!wasOnReactor)
                #expect(reactor.isCurrent)
            }
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        await pool.run {}
                        return reactor.isCurrent
                    }
                }
                for await isOnReactor in group { #expect(isOnReactor) }
            }
            pool.stop()
        }
    }

    @Test func aRootTaskRunsOnTheCallingThreadAndItsErrorComesBack() throws {
        struct Failure: Error {}
        let reactor = try Reactor()
        #expect(throws: Failure.self) {
            try reactor.run {
                #expect(reactor.isCurrent)
                throw Failure()
            }
        }
    }
}

/// A list that several callbacks append to.
final class Shared: Sendable {
    private let state: Mutex<[Int]>
    init(_ state: consuming sending Mutex<[Int]>) { self.state = state }
    func append(_ value: Int) { state.withLock { $0.append(value) } }
    var values: [Int] { state.withLock { $0 } }
}
