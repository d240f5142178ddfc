import Testing

@testable import CyxGateway

@Suite struct EventQueueTests {
    /// Which of these a queue has room for, one after another.
    private func taken(_ messages: [String], _ queue: inout EventQueue) -> [Bool] {
        messages.map { queue.append($0) }
    }

    @Test func soManyMessagesWait() {
        var queue = EventQueue()
        let first = taken((0..<EventQueue.messagesMax).map(String.init), &queue)
        #expect(!first.contains(false))
        #expect(taken(["x"], &queue) == [false])
        #expect(queue.take(2) == ["0", "1"])
        #expect(taken(["a", "b", "c"], &queue) == [true, true, false])
        #expect(queue.take(EventQueue.messagesMax).suffix(2) == ["a", "b"])
        #expect(queue.take(1).isEmpty)
    }

    /// Bytes, not letters: `ü` has two.
    @Test func soManyBytesWait() {
        let half = String(repeating: "ü", count: EventQueue.bytesMax / 4)
        var queue = EventQueue()
        #expect(taken([half, half, "x", ""], &queue) == [true, true, false, true])
        #expect(queue.take(1) == [half])
        #expect(taken(["x", half], &queue) == [true, false])
        queue.removeAll()
        #expect(taken([half, half, "x"], &queue) == [true, true, false])
    }
}
