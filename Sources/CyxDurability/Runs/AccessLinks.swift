internal import CyxCore

/// The lines by which peers reach each other: each has one way out and one way in, and between two
/// peers there is one connection. A line out serves its connections in turns, as pacing shares it;
/// within a connection what is urgent goes first, as the transport sends it. A line in is a queue
/// that knows no urgency, kept short by each connection's window. No packets: bytes in quanta.
struct AccessLinks {
    /// What is sent at a time.
    static let quantum = 64 << 10
    /// What a connection has on its way at most.
    static let window = 2 * quantum

    enum Urgency: Int { case normal = 0, background = 1 }

    enum Event {
        /// A line out has sent a quantum.
        case sent(Int)
        /// One has arrived.
        case delivered(connection: Int, transfer: Int, bytes: Int)
    }

    private struct Transfer {
        var toSend: Int
        var toArrive: Int
    }

    private struct Connection {
        /// By urgency.
        var queues: [[Int]] = [[], []]
        var heads = [0, 0]
        var inFlight = 0
        var isWaiting = false

        func next() -> Int? {
            for urgency in 0..<2 where heads[urgency] < queues[urgency].count {
                return queues[urgency][heads[urgency]]
            }
            return nil
        }
    }

    private let peers: Int
    private let bytesPerSecond: Double
    /// One way.
    private let delay: Duration
    private var transfers: [Int: Transfer] = [:]
    private var connections: [Connection]
    /// Connections of each line out that have something to send and room in their window, in turn.
    private var ready: [[Int]]
    private var isSending: [Bool]
    /// When each line in has taken what is under way to it.
    private var downFree: [Instant]
    private var lastTransfer = 0
    /// By urgency.
    private(set) var bytes = [0, 0]

    init(peers: Int, bytesPerSecond: Double, delay: Duration) {
        self.peers = peers
        self.bytesPerSecond = bytesPerSecond
        self.delay = delay
        connections = Array(repeating: Connection(), count: peers * peers)
        ready = Array(repeating: [], count: peers)
        isSending = Array(repeating: false, count: peers)
        downFree = Array(repeating: Instant(nanoseconds: 0), count: peers)
    }

    private func time(_ bytes: Int) -> Duration {
        .nanoseconds(Int64(Double(bytes) / bytesPerSecond * 1e9))
    }

    /// Begins to send; `delivered` with the number that is returned and no bytes left is its end.
    mutating func send(
        _ count: Int, from: Int, to: Int, _ urgency: Urgency, now: Instant,
        _ schedule: (Instant, Event) -> Void
    ) -> Int {
        lastTransfer += 1
        transfers[lastTransfer] = Transfer(toSend: count, toArrive: count)
        bytes[urgency.rawValue] += count
        let connection = from * peers + to
        connections[connection].queues[urgency.rawValue].append(lastTransfer)
        offer(connection, now, schedule)
        return lastTransfer
    }

    private mutating func offer(
        _ connection: Int, _ now: Instant, _ schedule: (Instant, Event) -> Void
    ) {
        guard !connections[connection].isWaiting, connections[connection].next() != nil,
            connections[connection].inFlight < AccessLinks.window
        else { return }
        connections[connection].isWaiting = true
        ready[connection / peers].append(connection)
        if !isSending[connection / peers] { sendNext(connection / peers, now, schedule) }
    }

    private mutating func sendNext(
        _ line: Int, _ now: Instant, _ schedule: (Instant, Event) -> Void
    ) {
        isSending[line] = false
        guard !ready[line].isEmpty else { return }
        let connection = ready[line].removeFirst()
        connections[connection].isWaiting = false
        guard let number = connections[connection].next(), let transfer = transfers[number] else {
            preconditionFailure("a ready connection has something to send")
        }
        let count = min(transfer.toSend, AccessLinks.quantum)
        transfers[number]?.toSend -= count
        if transfer.toSend == count { advance(&connections[connection]) }
        connections[connection].inFlight += count
        isSending[line] = true
        let sent = now + time(count)
        schedule(sent, .sent(line))
        let peer = connection % peers
        downFree[peer] = max(downFree[peer], sent + delay) + time(count)
        schedule(
            downFree[peer], .delivered(connection: connection, transfer: number, bytes: count))
        offer(connection, now, schedule)
    }

    private func advance(_ connection: inout Connection) {
        let urgency = connection.heads[0] < connection.queues[0].count ? 0 : 1
        connection.heads[urgency] += 1
        if connection.heads[urgency] == connection.queues[urgency].count {
            connection.queues[urgency] = []
            connection.heads[urgency] = 0
        }
    }

    /// Returns the transfer that has arrived whole, if one has.
    mutating func handle(
        _ event: Event, now: Instant, _ schedule: (Instant, Event) -> Void
    ) -> Int? {
        switch event {
        case .sent(let line):
            sendNext(line, now, schedule)
            return nil
        case .delivered(let connection, let number, let count):
            connections[connection].inFlight -= count
            offer(connection, now, schedule)
            transfers[number]?.toArrive -= count
            guard transfers[number]?.toArrive == 0 else { return nil }
            transfers[number] = nil
            return number
        }
    }
}
