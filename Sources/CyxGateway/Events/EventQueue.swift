/// What waits to be sent to a client that may read slowly (a machine).
struct EventQueue {
    static let messagesMax = 1000
    static let bytesMax = 1 << 20

    private var messages: [String] = []
    private var bytes = 0

    /// False if there is no room for it.
    mutating func append(_ message: String) -> Bool {
        guard messages.count < EventQueue.messagesMax,
            bytes + message.utf8.count <= EventQueue.bytesMax
        else { return false }
        messages.append(message)
        bytes += message.utf8.count
        return true
    }

    /// The next ones, at most so many.
    mutating func take(_ count: Int) -> [String] {
        let taken = Array(messages.prefix(count))
        messages.removeFirst(taken.count)
        bytes -= taken.reduce(0) { $0 + $1.utf8.count }
        return taken
    }

    mutating func removeAll() { self = EventQueue() }
}
