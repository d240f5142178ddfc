import CyxCore
import Glibc
import Synchronization
import Testing

@Suite struct EndingDeadlineTests {
    /// A pipe in place of the descriptor that signals are read from.
    private struct Signals: ~Copyable {
        let descriptor: Int32
        private let writer: Int32

        init() {
            var ends: [Int32] = [-1, -1]
            precondition(pipe(&ends) == 0, "no pipe")
            (descriptor, writer) = (ends[0], ends[1])
        }

        deinit {
            close(descriptor)
            close(writer)
        }

        /// SIGTERM, as signalfd(2) tells it: 128 bytes that begin with its number.
        func send() {
            let told = [UInt8(SIGTERM)] + [UInt8](repeating: 0, count: 127)
            #expect(write(writer, told, told.count) == told.count)
        }
    }

    /// Begins an end that never comes, and returns why it was cut short.
    private func reason(
        _ signals: borrowing Signals, limit: Duration, sameWish: Duration
    ) async throws -> EndingDeadline.Reason {
        let (reasons, sink) = AsyncStream.makeStream(of: EndingDeadline.Reason.self)
        let deadline = EndingDeadline(
            signals: signals.descriptor, limit: limit, sameWish: sameWish
        ) { sink.yield($0) }
        try deadline.begin()
        try deadline.begin()
        var iterator = reasons.makeAsyncIterator()
        return try #require(await iterator.next())
    }

    @Test func whatDoesNotEndInTimeIsTold() async throws {
        let signals = Signals()
        let reason = try await reason(signals, limit: .milliseconds(30), sameWish: .zero)
        #expect(reason == .late)
    }

    @Test func whoIsAskedAgainDoesNotWait() async throws {
        let signals = Signals()
        signals.send()
        let reason = try await reason(signals, limit: .seconds(600), sameWish: .zero)
        #expect(reason == .askedAgain)
    }

    @Test func theSameWishToldTwiceIsOne() async throws {
        let signals = Signals()
        signals.send()
        let reason = try await reason(
            signals, limit: .milliseconds(30), sameWish: .seconds(600))
        #expect(reason == .late)
    }
}
