internal import CyxCore
internal import CyxObjects
internal import SimulationHarness

/// Clients of a cluster that put, overwrite, delete and get objects, and a model of what each key
/// may hold.
///
/// One operation per key is under way at a time. What a failed write left is ambiguous: it may
/// have happened, or happen later; a write that succeeds afterwards settles it.
final class ObjectWorkload {
    /// Bytes that a seed stands for.
    struct Content: Hashable {
        var seed: UInt64
        var size: Int

        var bytes: [UInt8] {
            var generator = SeededGenerator(seed: seed)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(size + 8)
            while bytes.count < size {
                withUnsafeBytes(of: generator.next().littleEndian) { bytes.append(contentsOf: $0) }
            }
            bytes.removeLast(bytes.count - size)
            return bytes
        }
    }

    private struct Key {
        var committed: Content?
        /// What ambiguous writes may have left; an element that is nil: a deletion.
        var possible: [Content?] = []
        var isBusy = false
    }

    private enum Kind {
        case put(Content)
        case delete
        case get
    }

    private enum Outcome: Sendable {
        case done
        /// Put, with what was found wrong with it at once.
        case put([String])
        case read([UInt8])
        case absent
        case failed(String)
    }

    private struct Operation {
        var key: String
        var kind: Kind
        var task: SimulatedTask<Outcome>
        var peer: SimulatedPeer
        var life: Int
        var started: Instant
    }

    static let bucket = "simulated"
    /// Operations under way at one time.
    private static let concurrency = 8
    /// A client gives up after this.
    private static let patience = Duration.seconds(120)
    /// How much of an error tells its kind.
    private static let kindCharacters = 160

    private let cluster: Cluster
    private var generator: SeededGenerator
    private var keys: [String: Key] = [:]
    private var names: [String] = []
    private var operations: [Operation] = []
    private(set) var counts: [String: Int] = [:]
    private(set) var violations: [String] = []

    init(cluster: Cluster) {
        self.cluster = cluster
        generator = cluster.world.generator()
    }

    /// Peers at whose gateway an operation is under way.
    var busyGateways: [SimulatedPeer] { operations.map(\.peer).filter(\.isRunning) }

    private func count(_ what: String) { counts[what, default: 0] += 1 }

    // MARK: Under faults

    func createBucket() -> Bool {
        for _ in 0..<20 {
            guard let (peer, life) = pickGateway() else { return false }
            let task = cluster.world.spawn(peer) {
                try await life.gateway.createBucket(Self.bucket)
            }
            cluster.world.run(limit: .seconds(60)) { task.result != nil }
            switch task.result {
            case .success: return true
            case .failure(let error as ObjectError) where error == .bucketExists: return true
            default: cluster.world.run(for: .seconds(1))
            }
        }
        return false
    }

    /// Takes in what has ended and starts something new, if there is room.
    func step() {
        collect()
        guard operations.count < Self.concurrency, let (peer, life) = pickGateway() else { return }
        let choice = Int.random(in: 0..<100, using: &generator)
        let existing = pickKey()
        switch choice {
        case ..<45:
            let name = "object/\(names.count)"
            names.append(name)
            keys[name] = Key()
            start(name, .put(makeContent()), peer, life)
        case ..<55: if let existing { start(existing, .put(makeContent()), peer, life) }
        case ..<62: if let existing { start(existing, .delete, peer, life) }
        default: if let existing { start(existing, .get, peer, life) }
        }
    }

    private func makeContent() -> Content {
        let size =
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4: Int.random(in: 0...4096, using: &generator)
            case 4..<9: Int.random(in: 4097...100_000, using: &generator)
            default: Int.random(in: 100_001...1_500_000, using: &generator)
            }
        return Content(seed: generator.next(), size: size)
    }

    private func pickGateway() -> (SimulatedPeer, Cluster.Life)? {
        let candidates = cluster.running
        guard !candidates.isEmpty else { return nil }
        let peer = candidates[Int.random(in: 0..<candidates.count, using: &generator)]
        return cluster.life(of: peer).map { (peer, $0) }
    }

    private func pickKey() -> String? {
        guard !names.isEmpty else { return nil }
        let name = names[Int.random(in: 0..<names.count, using: &generator)]
        return keys[name]?.isBusy == false ? name : nil
    }

    private func start(
        _ name: String, _ kind: Kind, _ peer: SimulatedPeer, _ life: Cluster.Life
    ) {
        keys[name]?.isBusy = true
        let gateway = life.gateway
        let cluster = cluster
        let content: Content? = if case .put(let content) = kind { content } else { nil }
        let isGet = if case .get = kind { true } else { false }
        let task = cluster.world.spawn(peer) { () async throws -> Outcome in
            do {
                if isGet { return .read(try await Self.read(name, gateway)) }
                if let content {
                    _ = try await gateway.put(
                        name, in: Self.bucket, options: PutOptions(),
                        body: FixedBytes(content.bytes))
                    return .put(await Self.lookAtCommit(name, gateway, cluster))
                } else {
                    try await gateway.delete(name, in: Self.bucket)
                }
                return .done
            } catch ObjectError.noSuchKey {
                return .absent
            } catch {
                return .failed("\(error)")
            }
        }
        operations.append(
            Operation(
                key: name, kind: kind, task: task, peer: peer, life: peer.lives,
                started: cluster.world.now))
    }

    /// What the disks lack of an object that was acknowledged just now.
    private static func lookAtCommit(
        _ name: String, _ gateway: ObjectGateway, _ cluster: Cluster
    ) async -> [String] {
        do {
            let placement = try await gateway.placement(of: name, in: bucket)
            return CommitEvidence.violations(name, placement, cluster)
        } catch {
            // Faults come between: then nothing can be said.
            return []
        }
    }

    private static func read(_ name: String, _ gateway: ObjectGateway) async throws -> [UInt8] {
        let body = try await gateway.get(name, in: bucket, range: .whole)
        var source = body.source
        var bytes: [UInt8] = []
        while let next = try await source.next() { bytes += next }
        return bytes
    }

    private func collect() {
        var waiting: [Operation] = []
        for operation in operations {
            if case .success(let outcome)? = operation.task.result {
                finish(operation, outcome)
            } else if !operation.peer.isRunning || operation.peer.lives != operation.life {
                count("operations cut off by a crash")
                finish(operation, .failed("gateway crashed"))
            } else if cluster.world.now - operation.started > Self.patience {
                count("operations given up")
                operation.task.cancel()
                finish(operation, .failed("no end"))
            } else {
                waiting.append(operation)
            }
        }
        operations = waiting
    }

    private func finish(_ operation: Operation, _ outcome: Outcome) {
        guard var key = keys[operation.key] else { return }
        key.isBusy = false
        if case .failed(let reason) = outcome { count("refused: \(Self.kind(of: reason))") }
        switch (operation.kind, outcome) {
        case (.put(let content), .put(let problems)):
            count("puts acknowledged")
            violations += problems
            key.committed = content
            key.possible = []
        case (.put(let content), _):
            count("puts failed")
            key.possible.append(content)
        case (.delete, .done), (.delete, .absent):
            count("deletes acknowledged")
            key.committed = nil
            key.possible = []
        case (.delete, _):
            count("deletes failed")
            key.possible.append(nil)
        case (.get, .read(let bytes)):
            count("gets answered")
            check(operation.key, key, holds: bytes)
        case (.get, .absent):
            count("gets answered")
            check(operation.key, key, holds: nil)
        case (.get, .failed), (.get, .done), (.get, .put):
            count("gets failed")
        }
        keys[operation.key] = key
    }

    /// An error without the numbers and names in it, so that errors of one kind are counted as one.
    private static func kind(of reason: String) -> String {
        let words = reason.prefix(kindCharacters).split(separator: " ").map { word in
            word.contains(where: \.isNumber) ? "#" : word
        }
        return words.joined(separator: " ")
    }

    private func check(_ name: String, _ key: Key, holds bytes: [UInt8]?) {
        let allowed = [key.committed] + key.possible
        let isAllowed = allowed.contains { content in
            guard let content else { return bytes == nil }
            return content.size == bytes?.count && content.bytes == bytes
        }
        guard !isAllowed else { return }
        let what = bytes.map { "\($0.count) other bytes" } ?? "nothing"
        violations.append(
            "RegisterLinear: \(name) holds \(what) at \(cluster.world.now.nanoseconds) ns")
    }

    /// How it has gone so far, in a line.
    var summary: String {
        ["puts acknowledged", "puts failed", "gets answered", "gets failed"].map { name in
            "\(counts[name, default: 0]) \(name)"
        }.joined(separator: ", ")
    }

    // MARK: After faults

    /// Waits for what is under way, then reads every key until it answers.
    func verifyAll(limit: Duration) {
        let deadline = cluster.world.now + limit
        while !operations.isEmpty, cluster.world.now < deadline {
            cluster.world.run(for: .seconds(1))
            collect()
        }
        var open = names.filter { keys[$0]?.isBusy == false }
        var reasons: [String: String] = [:]
        while !open.isEmpty, cluster.world.now < deadline {
            open = readOnce(open, &reasons)
            if !open.isEmpty { cluster.world.run(for: .seconds(2)) }
        }
        for name in open {
            violations.append(
                "AckedDurable: \(name) is not readable: \(reasons[name] ?? "no answer")")
        }
        counts["objects read back at the end"] = names.count - open.count
        counts["objects that hold something"] = keys.values.count { $0.committed != nil }
    }

    /// Reads each of `open` once and returns those that did not answer.
    private func readOnce(_ open: [String], _ reasons: inout [String: String]) -> [String] {
        var left: [String] = []
        for start in stride(from: 0, to: open.count, by: Self.concurrency) {
            let batch = open[start..<min(open.count, start + Self.concurrency)]
            let tasks = batch.compactMap { name -> (String, SimulatedTask<Outcome>)? in
                guard let (peer, life) = pickGateway() else { return nil }
                let gateway = life.gateway
                let task = cluster.world.spawn(peer) { () async throws -> Outcome in
                    do {
                        return .read(try await Self.read(name, gateway))
                    } catch ObjectError.noSuchKey {
                        return .absent
                    } catch {
                        return .failed("\(error)")
                    }
                }
                return (name, task)
            }
            cluster.world.run(limit: .seconds(60)) { tasks.allSatisfy { $0.1.result != nil } }
            for (name, task) in tasks {
                guard let key = keys[name] else { continue }
                switch task.result {
                case .success(.read(let bytes)): check(name, key, holds: bytes)
                case .success(.absent): check(name, key, holds: nil)
                case .success(.failed(let reason)):
                    reasons[name] = reason
                    left.append(name)
                default:
                    task.cancel()
                    left.append(name)
                }
            }
        }
        return left
    }
}
