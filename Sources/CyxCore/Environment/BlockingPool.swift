/// Threads for work that blocks or computes for long: RocksDB, coding, hashing.
package protocol BlockingPool: AnyObject, Sendable {
    /// Runs `work` on some thread of the pool (in a simulation, later on the one thread).
    func submit(_ work: @escaping @Sendable () -> Void)
}

extension BlockingPool {
    /// Runs `work` off the reactor and returns its result to the caller's executor.
    ///
    /// A crossing costs about 10 µs each way, so pass batches rather than items.
    package func run<Value: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        // Unsafe rather than checked: a simulated crash drops it unresumed on purpose.
        let result: Result<Value, Failure> = await withUnsafeContinuation { continuation in
            submit {
                do throws(Failure) {
                    continuation.resume(returning: .success(try work()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}
