import CyxCore

@testable import CyxTransport

/// Carries out operations on endpoints under virtual time and looks after every event whether what
/// must hold still holds. The first thing that does not is kept in `violation`.
struct SequenceRun {
    struct Call {
        var from: Int
        var to: Int
        var body: [UInt8]
        var deadline: Int64
        /// Nobody waits for it any more: given up, or its caller's process ended.
        var isOver = false
        var isCompleted = false
    }

    /// What passed by on its way into the network.
    private final class Tap {
        var flights: [Pair.Flight] = []
        var blocked: Set<[SocketAddress]> = []
    }

    /// A window, streams and keys that are soon used up.
    static var limits: TransportLimits {
        var limits = TransportLimits()
        limits.streamWindow = 16 << 10
        limits.streamWindowMax = 64 << 10
        limits.connectionWindow = 64 << 10
        limits.connectionWindowMax = 256 << 10
        limits.incomingStreams = 4
        limits.packetsPerKey = 20
        return limits
    }

    var pair: Pair
    private(set) var violation: String?
    private(set) var calls: [CallID: Call] = [:]
    private var order: [CallID] = []
    /// By the number at the front of each request: how often it was delivered.
    private var deliveries: [UInt64: Int] = [:]
    private var requestCount: UInt64 = 0
    private var datagrams: [[UInt8]: Int] = [:]
    private var checks = ConnectionChecks()
    private let tap = Tap()
    private let seed: UInt64
    private var incarnations: UInt64 = 0
    private(set) var successes = 0
    var updates: UInt64 { checks.updates }

    init(nodes: Int, seed: UInt64) {
        self.seed = seed
        pair = Pair(count: nodes, seed: seed, limits: SequenceRun.limits)
        pair.introduce()
        let tap = tap
        pair.filter = { flight in
            guard !tap.blocked.contains([flight.from, flight.to]) else { return false }
            tap.flights.append(flight)
            return true
        }
    }

    private mutating func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds, violation == nil { violation = what() }
    }

    // MARK: Operations

    mutating func apply(_ operation: Operation) {
        switch operation {
        case .call(let from, let to, let size, let timeout):
            call(from, to, size: size, timeout: timeout)
        case .cancel(let back):
            guard back < order.count else { return }
            let id = order[order.count - 1 - back]
            guard let call = calls[id], !call.isOver, !call.isCompleted else { return }
            calls[id]?.isOver = true
            pair.nodes[call.from].machine.cancel(id, wall: pair.wall, now: pair.now)
            pair.settle(call.from)
        case .datagram(let from, let to, let size):
            guard !pair.nodes[from].isDown else { return }
            let bytes = numbered(size)
            datagrams[bytes] = 0
            pair.sendDatagram(from, to, bytes)
        case .faults(let faults): pair.faults = faults
        case .block(let from, let to):
            tap.blocked.insert([pair.nodes[from].address, pair.nodes[to].address])
        case .unblock: tap.blocked = []
        case .pass(let milliseconds): pass(milliseconds)
        case .jump(let milliseconds): pair.now += milliseconds * 1_000_000
        case .setWall(let milliseconds): pair.wall.milliseconds += milliseconds
        case .move(let node):
            let old = pair.nodes[node].address
            pair.nodes[node].address = SocketAddress(ip: old.ip, port: old.port &+ 1)
        case .crash(let node): end(node)
        case .start(let node):
            if pair.nodes[node].isDown { begin(node) }
        case .replace(let node):
            guard !pair.nodes[node].isDown else { return }
            pair.nodes[node].machine.shutDown(wall: pair.wall, now: pair.now)
            pair.settle(node)
            look()
            end(node)
            begin(node)
        }
        look()
    }

    @discardableResult
    private mutating func call(_ from: Int, _ to: Int, size: Int, timeout: Int64) -> CallID? {
        guard !pair.nodes[from].isDown else { return nil }
        let body = numbered(size)
        deliveries[requestCount] = 0
        // Known before it is made: it may fail at once.
        let deadline = pair.now + timeout * 1_000_000
        let id = pair.call(from, to, body, timeout: .milliseconds(timeout))
        calls[id] = Call(from: from, to: to, body: body, deadline: deadline)
        order.append(id)
        return id
    }

    /// Bytes that nobody else sends: a number and then a pattern of it.
    private mutating func numbered(_ size: Int) -> [UInt8] {
        requestCount += 1
        let number = withUnsafeBytes(of: requestCount.bigEndian) { [UInt8]($0) }
        return number + pattern(size, seed: requestCount)
    }

    private mutating func end(_ node: Int) {
        pair.nodes[node].isDown = true
        for (id, call) in calls where call.from == node && !call.isCompleted {
            calls[id]?.isOver = true
        }
    }

    private mutating func begin(_ node: Int) {
        incarnations += 1
        pair.nodes[node].isDown = false
        pair.nodes[node].machine = Pair.machine(
            identity: UInt8(node + 1), seed: seed &* 7919 &+ incarnations,
            limits: SequenceRun.limits)
        for other in pair.nodes.indices where other != node {
            pair.nodes[node].machine.learn(pair.contact(other))
        }
    }

    // MARK: Time

    /// Lets time pass event by event; by its end every call whose time is up has an answer.
    mutating func pass(_ milliseconds: Int64) {
        let end = pair.now + milliseconds * 1_000_000
        while violation == nil, pair.step(until: end) { look() }
        pair.now = max(pair.now, end)
        for (id, call) in calls where !call.isOver && !call.isCompleted {
            expect(call.deadline > pair.now, "\(id) has no answer at its deadline")
        }
    }

    /// Takes in what came out of the machines, and checks them.
    private mutating func look() {
        for index in pair.nodes.indices {
            for (id, result) in pair.nodes[index].completed { complete(id, result, at: index) }
            pair.nodes[index].completed = [:]
            for request in pair.nodes[index].requests { deliver(request.body, at: index) }
            pair.nodes[index].requests = []
            for (_, bytes) in pair.nodes[index].datagrams {
                guard let count = datagrams[bytes] else {
                    expect(false, "a datagram that nobody sent")
                    continue
                }
                datagrams[bytes] = count + 1
                expect(count == 0, "a datagram twice")
            }
            pair.nodes[index].datagrams = []
        }
        checks.look(at: pair, sent: tap.flights)
        tap.flights = []
        if let found = checks.violation { expect(false, found) }
    }

    private mutating func complete(
        _ id: CallID, _ result: Result<[UInt8], RPCError>, at node: Int
    ) {
        guard let call = calls[id] else { return expect(false, "an answer to no call") }
        expect(call.from == node, "an answer to another's call")
        expect(!call.isCompleted, "\(id) was answered twice")
        expect(!call.isOver || pair.nodes[node].isDown, "\(id) was answered after it was given up")
        calls[id]?.isCompleted = true
        guard case .success(let body) = result else { return }
        successes += 1
        expect(body == call.body, "\(id) came back changed")
        let number = call.body.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        expect(deliveries[number] == 1, "\(id) was answered and not delivered once")
    }

    private mutating func deliver(_ body: [UInt8], at node: Int) {
        let number = body.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let count = deliveries[number] else {
            return expect(false, "a request that nobody made")
        }
        deliveries[number] = count + 1
        expect(count == 0, "request \(number) was delivered twice")
        let size = body.count - 8
        expect(
            size >= 0 && body.dropFirst(8).elementsEqual(pattern(size, seed: number)),
            "request \(number) was delivered changed")
    }

    // MARK: The end

    /// The faults stop: everything outstanding ends, everybody reaches everybody again, and after
    /// a while of silence nothing is left.
    mutating func finish() {
        pair.faults = LinkFaults()
        tap.blocked = []
        for node in pair.nodes.indices where pair.nodes[node].isDown { begin(node) }
        pass(12_000)
        for (id, call) in calls where !call.isOver {
            expect(call.isCompleted, "\(id) never ends")
        }
        pair.introduce()
        for from in pair.nodes.indices {
            for to in pair.nodes.indices where to != from { reach(from, to) }
        }
        pass(70_000)
        for node in pair.nodes.indices { checkEmpty(node, "after silence") }
        for node in pair.nodes.indices {
            pair.nodes[node].machine.shutDown(wall: pair.wall, now: pair.now)
            pair.settle(node)
        }
        pass(5000)
        for node in pair.nodes.indices { checkEmpty(node, "after the end") }
    }

    /// A connection from before may have to be found dead first, so a call may fail once or twice.
    private mutating func reach(_ from: Int, _ to: Int) {
        for _ in 0..<3 {
            guard violation == nil else { return }
            let before = successes
            call(from, to, size: 3000, timeout: 4000)
            look()
            pass(4500)
            if successes > before { return }
            pair.nodes[from].machine.learn(pair.contact(to))
        }
        expect(false, "\(from) does not reach \(to) once the faults have stopped")
    }

    private mutating func checkEmpty(_ node: Int, _ when: String) {
        let machine = pair.nodes[node].machine
        let endpoint = machine.endpoint
        expect(endpoint.connectionCount == 0, "\(node) keeps connections \(when)")
        expect(endpoint.slots.allSatisfy { $0.connection == nil }, "\(node) keeps a slot \(when)")
        expect(endpoint.routes.isEmpty, "\(node) keeps routes \(when)")
        expect(endpoint.initialRoutes.isEmpty, "\(node) keeps initial routes \(when)")
        expect(endpoint.resetRoutes.isEmpty, "\(node) keeps reset routes \(when)")
        expect(endpoint.pendingHandshakes == 0, "\(node) keeps handshakes \(when)")
        expect(machine.calls.isEmpty, "\(node) keeps calls \(when)")
        expect(machine.links.isEmpty, "\(node) keeps links \(when)")
        expect(machine.reservedBytes == 0, "\(node) keeps \(machine.reservedBytes) B \(when)")
        expect(machine.reservationQueue.isEmpty, "\(node) keeps reservations \(when)")
        expect(
            machine.peers.values.allSatisfy { $0.waiting.isEmpty && $0.connections.isEmpty },
            "\(node) keeps calls waiting \(when)")
    }
}
