internal import CyxCore
internal import CyxObjects

/// A zone is lost for good while users read and write.
package struct ZoneLossSetup: Sendable {
    package var fleet = FleetSetup()
    package var lineBytesPerSecond = 125e6
    /// One way between any two peers.
    package var delay = Duration.milliseconds(2)
    package var diskBytesPerSecond = 400e6
    /// From a loss until the repair of it may begin counts from here; before it, the users alone
    /// are measured.
    package var quiet = Duration.seconds(60)
    /// Gateways, of the zones that stay, and what users ask of each in a second.
    package var gateways = 3
    package var readsPerSecond = 15.0
    package var writesPerSecond = 5.0
    /// An object of one chunk.
    package var objectBytes = 1 << 20
    /// Whether repair is sent behind what users wait for. Off in the test that shows what for.
    package var isRepairBackground = true

    package init() {
        fleet.peers = 20
        fleet.zones = 4
        // 100 GiB in segments of 64 MiB.
        fleet.segments = 1600
    }
}

package struct ZoneLossFigures: Sendable, Equatable {
    package struct Latencies: Sendable, Equatable {
        /// Milliseconds, sorted.
        package var reads: [Double] = []
        package var writes: [Double] = []

        package static func percentile(_ sorted: [Double], _ share: Double) -> Double {
            sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
    }

    package var segments = 0
    /// Shards that were on the lost zone's peers.
    package var lostShards = 0
    /// Segments by the losses that they bore after that.
    package var margins: [Int: Int] = [:]
    package var lost = 0
    /// Seconds from the loss until no segment bears only one more loss or none.
    package var secondsToSafety = 0.0
    /// Seconds until every segment has all its shards again.
    package var secondsToFull = 0.0
    /// Whether that was reached at all.
    package var isFull = false
    package var bytesMoved = 0
    /// With one shard file less than k + t for each segment that misses t: what rebuilding all its
    /// missing shards at once, at one of their new holders, has to move.
    package var leastBytes = 0
    package var before = Latencies()
    /// Of requests that began while something was being rebuilt.
    package var during = Latencies()
    package var events = 0

    package static func measure(_ setup: ZoneLossSetup, seed: UInt64) -> ZoneLossFigures {
        var run = ZoneLossRun(setup, seed: seed)
        return run.measure()
    }
}

struct ZoneLossRun {
    enum Event {
        case line(AccessLinks.Event)
        case wake(Int)
        case loss
        case noticed
        case request(gateway: Int, isWrite: Bool)
        /// A disk has read or written what a step is about.
        case disk(Step)
    }

    /// What follows on a transfer, or on a disk's work.
    enum Step {
        case repairRead(Int, from: Int, bytes: Int)
        case repairArrived(Int)
        case repairWrite(Int, to: Int)
        case repairStored(Int)
        case userRead(Int, from: Int)
        case userArrived(Int)
        case userWrite(Int, to: Int)
        case userStored(Int)
    }

    /// A rebuild, window by window as `SegmentRebuilder` does it.
    struct Job {
        var rebuild: FleetRebuild
        var offset = 0
        var waiting = 0
        var isPushing = false
    }

    struct Request {
        var began: Instant
        var isWrite: Bool
        var left: Int
        var isDuring: Bool
        var gateway: Int
    }

    let setup: ZoneLossSetup
    var fleet: Fleet
    var agenda = Agenda<Event>()
    var links: AccessLinks
    var diskFree: [Instant]
    var steps: [Int: Step] = [:]
    var jobs: [Int: Job] = [:]
    var requests: [Int: Request] = [:]
    private var number = 0
    private var wakes: [Instant?]
    private var lostAt: Instant?
    private var figures = ZoneLossFigures()
    private static let limit = Duration.seconds(48 * 3600)
    /// Users that are served while nothing is rebuilt cost time and show nothing.
    private var areUsersActive = true

    init(_ setup: ZoneLossSetup, seed: UInt64) {
        self.setup = setup
        fleet = Fleet(setup.fleet, seed: seed)
        links = AccessLinks(
            peers: setup.fleet.peers, bytesPerSecond: setup.lineBytesPerSecond, delay: setup.delay)
        diskFree = Array(repeating: Instant(nanoseconds: 0), count: setup.fleet.peers)
        wakes = Array(repeating: nil, count: setup.fleet.peers)
    }

    mutating func measure() -> ZoneLossFigures {
        agenda.schedule(at: fleet.now + setup.quiet, .loss)
        for gateway in gateways {
            scheduleRequest(gateway, isWrite: false)
            scheduleRequest(gateway, isWrite: true)
        }
        while let (at, event) = agenda.next(), at.nanoseconds < ZoneLossRun.limit.nanoseconds {
            fleet.advance(to: at)
            handle(event)
            if lostAt != nil { observe() }
            if figures.isFull { break }
        }
        figures.lost = (0..<setup.fleet.segments).count { fleet.isLost($0) }
        figures.bytesMoved = links.bytes[AccessLinks.Urgency.background.rawValue]
        figures.before.reads.sort()
        figures.before.writes.sort()
        figures.during.reads.sort()
        figures.during.writes.sort()
        figures.events = agenda.processed
        return figures
    }

    /// Zone 0 is the one that goes.
    private var gateways: [Int] {
        Array((0..<setup.fleet.peers).filter { fleet.zone($0) != 0 }.prefix(setup.gateways))
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .loss: lose()
        case .noticed:
            for slot in 0..<setup.fleet.peers where fleet.zone(slot) == 0 {
                fleet.noticeEnd(slot, of: fleet.peer(slot))
            }
            serve()
        case .wake(let slot):
            wakes[slot] = nil
            fleet.wake(slot)
            serve()
        case .request(let gateway, let isWrite):
            if areUsersActive {
                begin(gateway, isWrite: isWrite)
                scheduleRequest(gateway, isWrite: isWrite)
            }
        case .disk(let step): perform(step)
        case .line(let event):
            var scheduled: [(Instant, AccessLinks.Event)] = []
            let arrived = links.handle(event, now: fleet.now) { scheduled.append(($0, $1)) }
            for (at, event) in scheduled { agenda.schedule(at: at, .line(event)) }
            if let arrived, let step = steps.removeValue(forKey: arrived) { perform(step) }
        }
    }

    private mutating func lose() {
        lostAt = fleet.now
        for slot in 0..<setup.fleet.peers where fleet.zone(slot) == 0 {
            _ = fleet.stop(slot, forGood: true)
        }
        figures.segments = setup.fleet.segments
        figures.margins = fleet.margins()
        let code = setup.fleet.code
        for (margin, count) in figures.margins where margin < code.parityShards && margin >= 0 {
            let missing = code.parityShards - margin
            figures.lostShards += missing * count
            figures.leastBytes +=
                (code.dataShards + missing - 1) * setup.fleet.fileBytes * count
        }
        agenda.schedule(at: fleet.now + setup.fleet.detection, .noticed)
    }

    private var lookedAt = Instant(nanoseconds: 0)

    private mutating func observe() {
        guard let lostAt, fleet.now - lookedAt >= .milliseconds(100), fleet.now > lostAt else {
            return
        }
        lookedAt = fleet.now
        let margins = fleet.margins()
        let seconds = (fleet.now - lostAt) / .seconds(1)
        if margins.keys.contains(where: { $0 <= 1 }) { figures.secondsToSafety = seconds }
        if fleet.isFull {
            figures.secondsToFull = seconds
            figures.isFull = true
        }
        // Between the endangered and the rest lies an hour in which nothing is rebuilt.
        let wasActive = areUsersActive
        areUsersActive = !jobs.isEmpty || fleet.now - lostAt < .seconds(60)
        if areUsersActive, !wasActive {
            for gateway in gateways {
                scheduleRequest(gateway, isWrite: false)
                scheduleRequest(gateway, isWrite: true)
            }
        }
    }

    // MARK: Repair

    mutating func serve() {
        let (rebuilds, wanted) = fleet.begin()
        for rebuild in rebuilds {
            number += 1
            fleet.claim(rebuild)
            jobs[number] = Job(rebuild: rebuild)
            readWindow(number)
        }
        for (slot, at) in wanted where wakes[slot].map({ at < $0 }) ?? true {
            wakes[slot] = at
            agenda.schedule(at: at, .wake(slot))
        }
    }

    private static let windowBytes = 1 << 20

    private func windowBytes(_ job: Job) -> Int {
        min(ZoneLossRun.windowBytes, setup.fleet.fileBytes - job.offset)
    }

    private mutating func readWindow(_ number: Int) {
        guard var job = jobs[number] else { return }
        let bytes = windowBytes(job)
        job.waiting = job.rebuild.sources.count
        job.isPushing = false
        jobs[number] = job
        for source in job.rebuild.sources {
            useDisk(source.slot, bytes, then: .repairRead(number, from: source.slot, bytes: bytes))
        }
        if job.waiting == 0 { pushWindow(number) }
    }

    private mutating func pushWindow(_ number: Int) {
        guard var job = jobs[number] else { return }
        let bytes = windowBytes(job)
        job.waiting = job.rebuild.targets.count
        job.isPushing = true
        jobs[number] = job
        for target in job.rebuild.targets {
            send(
                bytes, from: job.rebuild.repairer, to: target.slot, repairUrgency,
                then: .repairWrite(number, to: target.slot))
        }
        if job.waiting == 0 { endWindow(number) }
    }

    private mutating func endWindow(_ number: Int) {
        guard var job = jobs[number] else { return }
        job.offset += windowBytes(job)
        jobs[number] = job
        guard job.offset >= setup.fleet.fileBytes else { return readWindow(number) }
        jobs[number] = nil
        fleet.finish(job.rebuild)
        serve()
    }

    private var repairUrgency: AccessLinks.Urgency {
        setup.isRepairBackground ? .background : .normal
    }

    private mutating func finished(_ number: Int) {
        jobs[number]?.waiting -= 1
        guard let job = jobs[number], job.waiting == 0 else { return }
        if job.isPushing { endWindow(number) } else { pushWindow(number) }
    }

    // MARK: Steps

    mutating func useDisk(_ slot: Int, _ bytes: Int, then step: Step) {
        let time = Duration.nanoseconds(Int64(Double(bytes) / setup.diskBytesPerSecond * 1e9))
        diskFree[slot] = max(diskFree[slot], fleet.now) + time
        agenda.schedule(at: diskFree[slot], .disk(step))
    }

    /// What stays at one peer needs no line.
    mutating func send(
        _ bytes: Int, from: Int, to: Int, _ urgency: AccessLinks.Urgency, then step: Step
    ) {
        guard from != to else { return perform(step) }
        var scheduled: [(Instant, AccessLinks.Event)] = []
        let transfer = links.send(bytes, from: from, to: to, urgency, now: fleet.now) {
            scheduled.append(($0, $1))
        }
        steps[transfer] = step
        for (at, event) in scheduled { agenda.schedule(at: at, .line(event)) }
    }

    private mutating func perform(_ step: Step) {
        switch step {
        case .repairRead(let number, let from, let bytes):
            guard let job = jobs[number] else { return }
            send(
                bytes, from: from, to: job.rebuild.repairer, repairUrgency,
                then: .repairArrived(number))
        case .repairArrived(let number), .repairStored(let number):
            finished(number)
        case .repairWrite(let number, let to):
            guard let job = jobs[number] else { return }
            useDisk(to, windowBytes(job), then: .repairStored(number))
        case .userRead(let request, let from):
            guard let gateway = requests[request]?.gateway else { return }
            send(shardBytes, from: from, to: gateway, .normal, then: .userArrived(request))
        case .userArrived(let request), .userStored(let request):
            arrived(request)
        case .userWrite(let request, let to):
            useDisk(to, shardBytes, then: .userStored(request))
        }
    }

    // MARK: Users

    private var shardBytes: Int { setup.fleet.code.shardBytes(setup.objectBytes) }

    private mutating func scheduleRequest(_ gateway: Int, isWrite: Bool) {
        let rate = isWrite ? setup.writesPerSecond : setup.readsPerSecond
        guard rate > 0 else { return }
        let unit = (Double(fleet.generator.next() >> 11) + 0.5) / 9_007_199_254_740_992
        let pause = Duration.nanoseconds(Int64(-Functions.log(unit) / rate * 1e9))
        agenda.schedule(at: fleet.now + pause, .request(gateway: gateway, isWrite: isWrite))
    }

    /// A read asks k holders, a write gives n peers a shard each and is done when as many have it
    /// durably as B2 wants. Peers at random: users' objects are not the ones that are followed.
    private mutating func begin(_ gateway: Int, isWrite: Bool) {
        number += 1
        let code = setup.fleet.code
        let holders = fleet.anyPeers(code.shards)
        requests[number] = Request(
            began: fleet.now, isWrite: isWrite,
            left: isWrite ? min(code.acknowledged, holders.count) : code.dataShards,
            isDuring: !jobs.isEmpty, gateway: gateway)
        for holder in isWrite ? holders : Array(holders.prefix(code.dataShards)) {
            if isWrite {
                send(
                    shardBytes, from: gateway, to: holder, .normal,
                    then: .userWrite(number, to: holder))
            } else {
                useDisk(holder, shardBytes, then: .userRead(number, from: holder))
            }
        }
    }

    private mutating func arrived(_ number: Int) {
        requests[number]?.left -= 1
        guard let request = requests[number], request.left == 0 else { return }
        requests[number] = nil
        // One way for the request, or for the acknowledgment.
        let milliseconds = (fleet.now + setup.delay - request.began) / .milliseconds(1)
        switch (request.isDuring, request.isWrite) {
        case (false, false): if lostAt == nil { figures.before.reads.append(milliseconds) }
        case (false, true): if lostAt == nil { figures.before.writes.append(milliseconds) }
        case (true, false): figures.during.reads.append(milliseconds)
        case (true, true): figures.during.writes.append(milliseconds)
        }
    }
}
