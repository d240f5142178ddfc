import CyxCore
import Synchronization
import Testing

struct ThreadPoolTests {
    @Test func allWorkRunsOnceEvenBeyondTheQueue() async throws {
        let pool = try ThreadPool(threadCount: 3)
        let total = ThreadPool.maximumPending * 3
        let count = CountBox()
        for _ in 0..<total { pool.submit { count.add() } }
        pool.stop()
        #expect(count.value == total)
    }

    @Test func errorsComeBackTyped() async throws {
        let pool = try ThreadPool(threadCount: 1)
        await #expect(throws: StoreError.noSpace) {
            try await pool.run { () throws(StoreError) in throw .noSpace }
        }
        #expect(await pool.run { 7 } == 7)
        pool.stop()
    }

    @Test func theKernelsRandomBytesDiffer() {
        let random = KernelRandom()
        #expect(random.bytes(32) != random.bytes(32))
        #expect(random.bytes(1000).contains { $0 != 0 })
        #expect(random.bytes(0).isEmpty)
    }
}

private final class CountBox: Sendable {
    private let count = Atomic<Int>(0)
    func add() { count.wrappingAdd(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
