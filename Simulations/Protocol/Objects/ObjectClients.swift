import CyxCore
import CyxCrypto
import CyxObjects
import SimulationHarness
import Synchronization

/// Clients of a world of objects: they put, replace, delete, list and read a few keys through all
/// gateways at once, some of them under conditions, and complete and abort uploads.
final class ObjectClients: Sendable {
    private struct State {
        var generator: SeededGenerator
        var records = ObjectRecords()
        var operations: [SimulatedOperation] = []
        var uploads: [ObjectUpload] = []
        var busyUploads: [Int: SimulatedOperation] = [:]
    }

    /// How a put is guarded.
    enum Guard { case nothing, absent, unchanged }

    /// Keys that everybody writes.
    static let shared = 4
    private static let operationsMax = 6
    private static let uploadsMax = 14
    /// Beyond so many, orders of operations take long to search.
    static let updatesMax = 40

    let world: ObjectWorld
    private let state: Mutex<State>

    init(world: ObjectWorld) {
        self.world = world
        state = Mutex(State(generator: world.world.generator()))
        for number in 0..<Self.shared { _ = addKey("shared/\(number)") }
        if world.packs { for number in 0..<Self.packed { _ = addKey("packed/\(number)") } }
    }

    func draw<Value>(_ body: (inout SeededGenerator) -> Value) -> Value {
        state.withLock { body(&$0.generator) }
    }

    /// Whose gateway may crash in the midst of it.
    func note(_ task: SimulatedTask<Void>, on machine: SimulatedPeer) {
        state.withLock { $0.operations.append(SimulatedOperation(task, on: machine)) }
    }

    func with<Value>(_ body: (inout ObjectRecords) -> sending Value) -> sending Value {
        state.withLock { body(&$0.records) }
    }

    /// Gateways at which something is under way.
    var busyGateways: [ObjectPeer] {
        let busy = state.withLock { state in
            (state.operations + Array(state.busyUploads.values)).filter { !$0.isOver }
                .map(\.machine.index)
        }
        return world.gateways.filter { busy.contains($0.machine.index) }
    }

    func addKey(_ name: String) -> Int {
        with { records in
            records.keys.append(ObjectRecords.Key(name: name))
            return records.keys.count - 1
        }
    }

    func history(_ key: Int) -> RegisterHistory { with { $0.keys[key].history } }
    func name(_ key: Int) -> String { with { $0.keys[key].name } }

    // MARK: Steps

    func createBucket() -> Bool {
        for _ in 0..<20 {
            guard let gateway = world.gateways.first?.gateway else { return false }
            let machine = world.gateways[0].machine
            do {
                var settings = BucketSettings()
                if world.keepsVersions { settings.versioning = .enabled }
                _ = try world.world.perform(on: machine, limit: .seconds(10)) { [settings] in
                    try await gateway.createBucket(ObjectWorld.bucket, settings: settings)
                }
                return true
            } catch ObjectError.bucketExists {
                return true
            } catch {
                world.world.run(for: .milliseconds(200))
            }
        }
        return false
    }

    /// Starts something new, if there is room.
    func step() {
        let running = world.gateways.filter { $0.gateway != nil }
        guard !running.isEmpty else { return }
        state.withLock { $0.operations.removeAll(where: \.isOver) }
        stepUploads(running)
        if world.packs { stepPacks(running) }
        let draw = state.withLock { state -> (peer: Int, kind: Int, key: Int, size: Int)? in
            guard state.operations.count < Self.operationsMax else { return nil }
            return (
                Int.random(in: 0..<running.count, using: &state.generator),
                Int.random(in: 0..<100, using: &state.generator),
                Int.random(in: 0..<Self.shared, using: &state.generator),
                Int.random(in: 0..<3, using: &state.generator) == 0
                    ? Int.random(in: 0...4096, using: &state.generator)
                    : Int.random(in: 4097...40_000, using: &state.generator)
            )
        }
        guard let draw, let gateway = running[draw.peer].gateway else { return }
        let (machine, key, size) = (running[draw.peer].machine, draw.key, draw.size)
        let isFull = with { $0.keys[key].updates >= Self.updatesMax }
        let pin = draw.kind >= 96 ? drawPin() : nil
        let kind = isFull ? 99 : draw.kind
        let task: SimulatedTask<Void> =
            switch kind {
            case ..<30: run(machine) { try await self.put(key, .nothing, size, gateway) }
            case ..<38: run(machine) { try await self.put(key, .absent, size, gateway) }
            case ..<46: run(machine) { try await self.put(key, .unchanged, size, gateway) }
            case ..<56: run(machine) { try await self.delete(key, gateway) }
            case ..<68: run(machine) { try await self.list(gateway) }
            case ..<72: run(machine) { await self.putTogether(gateway) }
            case 84..<92 where world.keepsVersions:
                run(machine) { try await self.useVersion(of: key, removes: kind < 87, gateway) }
            case 92..<96: run(machine) { try await self.pin(key, gateway) }
            default:
                run(machine) {
                    guard let pin else { return try await self.get(key, gateway) }
                    if kind == 99 {
                        try await self.unpin(pin, gateway)
                    } else {
                        try await self.readPin(pin, gateway)
                    }
                }
            }
        note(task, on: machine)
    }

    private func drawPin() -> String? {
        state.withLock { state in
            state.records.pins.kept.keys.sorted().randomElement(using: &state.generator)
        }
    }

    func run(
        _ machine: SimulatedPeer, _ body: @escaping @Sendable () async throws -> Void
    ) -> SimulatedTask<Void> {
        world.world.spawn(machine) {
            do {
                try await body()
                self.with { $0.count("operations done") }
            } catch {
                self.with { $0.count("operations failed") }
            }
        }
    }

    // MARK: Operations

    func put(
        _ key: Int, _ condition: Guard, _ size: Int, _ gateway: ObjectGateway
    ) async throws {
        let (history, name, last) = with { records in
            records.keys[key].updates += 1
            let known = records.keys[key]
            return (known.history, known.name, known.lastRead)
        }
        var options = PutOptions()
        var isBlind = true
        if condition == .absent {
            (options.condition, isBlind) = (.absent, false)
        } else if condition == .unchanged, let last {
            (options.condition, isBlind) = (.matches(etag: last.etag), false)
        }
        let (operation, value) = history.invoke(isUpdate: true, isBlind: isBlind)
        if !isBlind {
            history.see(
                operation, condition == .absent ? RegisterHistory.initial : last?.value ?? 0)
        }
        let write = ObjectRecords.Write(key: key, value: value)
        let bytes = ObjectRecords.bytes(write, count: size)
        let etag = Hex.encode(MD5.hash(bytes))
        let began = with { records in
            records.expect(write, bytes, etag: etag)
            return records.versions.tick()
        }
        do {
            let info = try await gateway.put(
                name, in: ObjectWorld.bucket, options: options, body: FixedBytes(bytes))
            precondition(info.etag == etag, "an ETag is the MD5 of what was put")
            history.finish(operation)
            with { records in
                records.count("puts acknowledged")
                records.versions.add(key, info, began: began)
            }
        } catch {
            switch error as? ObjectError {
            case .preconditionFailed? where condition == .absent: history.refuse(operation)
            case .preconditionFailed?, .noSuchKey?, .conflict?: history.withdraw(operation)
            default: throw error
            }
            with { $0.count("puts refused") }
            return
        }
        await lookAtCommit(key, gateway)
    }

    func delete(_ key: Int, _ gateway: ObjectGateway) async throws {
        with { $0.keys[key].updates += 1 }
        let history = history(key)
        let operation = history.invokeDeletion()
        try await gateway.delete(name(key), in: ObjectWorld.bucket)
        history.finish(operation)
        with { $0.count("deletions acknowledged") }
    }

    func get(_ key: Int, _ gateway: ObjectGateway) async throws {
        let operation = history(key).invoke(isUpdate: false).operation
        do {
            let body = try await open(key, gateway)
            var source = body.source
            var bytes: [UInt8] = []
            while let next = try await source.next() { bytes += next }
            let (whole, etag) = (bytes, body.info.etag)
            with { $0.see(key, operation, whole, etag: etag) }
        } catch ObjectError.noSuchKey, ObjectError.deleteMarker {
            with { $0.see(key, operation, nil, etag: nil) }
        }
        with { $0.count("gets answered") }
    }

    /// The beginning of a read: its head and the rows that this reaches (NoDangling).
    private func open(_ key: Int, _ gateway: ObjectGateway) async throws -> ObjectBody {
        with { $0.check("NoDangling") }
        do {
            return try await gateway.get(name(key), in: ObjectWorld.bucket, range: .whole)
        } catch ObjectError.dataLost(let reason) {
            with { $0.violate("NoDangling", "\($0.keys[key].name) has a head, but \(reason)") }
            throw ObjectError.dataLost(reason)
        }
    }

    /// A list shows every key as a read would (ListFresh).
    func list(_ gateway: ObjectGateway) async throws {
        let keys = with { Array($0.keys.indices) }
        let operations = keys.map { history($0).invoke(isUpdate: false).operation }
        let listing = try await gateway.list(ObjectWorld.bucket, ListRequest())
        let etags = Dictionary(uniqueKeysWithValues: listing.objects.map { ($0.key, $0.etag) })
        with { records in
            for key in keys {
                records.seeListed(key, operations[key], etag: etags[records.keys[key].name])
            }
            records.count("lists answered")
        }
    }

    /// What the disks lack of an object that was acknowledged just now (Committed), unless others
    /// changed it meanwhile, as an update that was under way before may have done.
    private func lookAtCommit(_ key: Int, _ gateway: ObjectGateway) async {
        do {
            let placement = try await gateway.placement(of: name(key), in: ObjectWorld.bucket)
            with { ObjectEvidence.checkForgeries(placement, world, &$0) }
            let counts = durable(placement)
            let after = try await gateway.placement(of: name(key), in: ObjectWorld.bucket)
            guard placement.map(\.segment) == after.map(\.segment) else { return }
            with { records in
                for (segment, count) in counts {
                    records.check("Committed")
                    guard count < segment.code.acknowledged else { continue }
                    records.violate(
                        "Committed",
                        "\(records.keys[key].name) was acknowledged with \(count) of "
                            + "\(segment.code.acknowledged) shards on disks")
                }
            }
        } catch { return }
    }

    /// How many shards of each segment lie on disks.
    private func durable(_ placement: [SegmentPlacement]) -> [(SegmentPlacement, Int)] {
        placement.filter { !$0.holders.isEmpty }.map { segment in
            let durable = segment.holders.filter { entry in
                guard let peer = world.peer(entry.peer) else { return false }
                // Whoever crashed, or lost what its disk had since, may have had it until then.
                return !peer.isUp || peer.store != entry.store || peer.hasLostFlushes
                    || peer.holds(segment.segment, entry.index)
            }
            return (segment, Set(durable.map(\.index)).count)
        }
    }

    // MARK: Uploads

    private func stepUploads(_ running: [ObjectPeer]) {
        typealias Draw = (upload: Int, peer: Int, action: Int)
        let drawn = state.withLock { state -> Draw? in
            for (number, operation) in state.busyUploads where operation.isOver {
                state.busyUploads[number] = nil
            }
            let open = state.uploads.indices.filter {
                !state.uploads[$0].isOver && state.busyUploads[$0] == nil
            }
            let peer = Int.random(in: 0..<running.count, using: &state.generator)
            let action = Int.random(in: 0..<100, using: &state.generator)
            if let number = open.randomElement(using: &state.generator) {
                return action < 30 ? (number, peer, action) : nil
            }
            guard state.uploads.count < Self.uploadsMax, action < 6 else { return nil }
            return (-1, peer, action)
        }
        guard let drawn, let gateway = running[drawn.peer].gateway else { return }
        let machine = running[drawn.peer].machine
        let number = drawn.upload >= 0 ? drawn.upload : beginUpload()
        let upload = state.withLock { $0.uploads[number] }
        let action = drawn.action
        let task = run(machine) {
            if upload.id == nil {
                try await self.fill(number, upload, gateway)
            } else if upload.mayBeAborted, action < 5 {
                try await self.abort(number, upload, gateway)
            } else {
                try await self.complete(number, upload, gateway)
            }
        }
        state.withLock {
            $0.busyUploads[number] = SimulatedOperation(task, on: machine)
        }
    }

    /// Every third goes to a key of its own, where nothing but the upload can change what is seen;
    /// the others to a shared one.
    private func beginUpload() -> Int {
        let number = state.withLock { $0.uploads.count }
        let isAlone = number.isMultiple(of: 3)
        let key = isAlone ? addKey("upload/\(number)") : number % Self.shared
        state.withLock { state in
            state.records.keys[key].updates += 1
            state.uploads.append(ObjectUpload(key: key, isAlone: isAlone))
        }
        return number
    }

    func change(_ number: Int, _ change: (inout ObjectUpload) -> Void) {
        state.withLock { change(&$0.uploads[number]) }
    }

    func upload(_ number: Int) -> ObjectUpload { state.withLock { $0.uploads[number] } }

    // MARK: Verdict

    /// Ends what clients began: every upload is aborted or completed, those too whose clients never
    /// learnt of them.
    func settleUploads(limit: Duration) {
        endKnownUploads(limit)
        guard let peer = world.gateways.first, let gateway = peer.gateway else { return }
        let task = run(peer.machine) {
            for upload in try await gateway.uploads(in: ObjectWorld.bucket) {
                do {
                    try await gateway.abortUpload(
                        upload.id, key: upload.key, in: ObjectWorld.bucket)
                } catch ObjectError.noSuchUpload {
                    // Its completion got through, although nobody learnt that.
                    continue
                }
            }
        }
        world.world.run(limit: limit) { task.result != nil }
    }

    private func endKnownUploads(_ limit: Duration) {
        let deadline = world.world.now + limit
        while world.world.now < deadline {
            let open = state.withLock { state in
                state.uploads.indices.filter {
                    !state.uploads[$0].isOver && state.uploads[$0].id != nil
                }
            }
            guard let number = open.first, let peer = world.gateways.first,
                let gateway = peer.gateway
            else { return }
            let upload = upload(number)
            let task = run(peer.machine) {
                if upload.mayBeAborted {
                    try await self.abort(number, upload, gateway)
                } else {
                    try await self.complete(number, upload, gateway)
                }
            }
            world.world.run(limit: .seconds(5)) { task.result != nil }
        }
    }

    /// Reads and lists everything through every gateway; names those that did not answer.
    func readEverything(limit: Duration) -> [String] {
        let deadline = world.world.now + limit
        var open: [(name: String, key: Int?, pin: String?, peer: ObjectPeer)] = []
        for peer in world.gateways {
            open += with { Array($0.keys.indices) }.map { (name($0), $0, nil, peer) }
            open += with { $0.pins.kept.keys.sorted() }.map { ("the pin \($0)", nil, $0, peer) }
            if world.keepsVersions { open.append(("the versions", nil, Self.allVersions, peer)) }
            open.append(("the list", nil, nil, peer))
        }
        while !open.isEmpty, world.world.now < deadline {
            let tasks = open.map { entry in
                world.world.spawn(entry.peer.machine) {
                    guard let gateway = entry.peer.gateway else { throw ObjectError.cancelled }
                    if let key = entry.key {
                        try await self.get(key, gateway)
                    } else if entry.pin == Self.allVersions {
                        try await self.readVersions(gateway)
                    } else if let pin = entry.pin {
                        try await self.readPin(pin, gateway)
                    } else {
                        try await self.list(gateway)
                    }
                }
            }
            world.world.run(limit: .seconds(10)) { tasks.allSatisfy { $0.result != nil } }
            open = zip(open, tasks).filter { _, task in
                if case .success? = task.result { false } else { true }
            }.map(\.0)
        }
        return open.map { "\($0.name) at \($0.peer.machine.name)" }
    }
}
