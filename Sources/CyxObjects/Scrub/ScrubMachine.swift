package import CyxCore
internal import CyxStorage

/// How fast stored shards are read again.
package struct ScrubTimings: Sendable, Equatable {
    /// Within how long every shard is read once.
    package var period: Duration
    /// What reading may take of the disk in any case, in bytes a second.
    package var bytesPerSecond: Double
    /// Pause between two rounds, and after a failure of the store.
    package var rest: Duration

    package init(period: Duration, bytesPerSecond: Double, rest: Duration) {
        self.period = period
        self.bytesPerSecond = bytesPerSecond
        self.rest = rest
    }

    package static let production = ScrubTimings(
        period: .seconds(14 * 86_400), bytesPerSecond: 16_777_216, rest: .seconds(3600))

    package static let devnet = ScrubTimings(
        period: .seconds(3600), bytesPerSecond: 16_777_216, rest: .seconds(60))
}

/// How far the round is, as screens show it.
package struct ScrubStatus: Hashable, Sendable {
    /// Of the bytes that were there when the round began, 0…1.
    package var progress = 0.0
    package var rounds: UInt64 = 0
    /// When the last whole round ended; nil: none yet.
    package var completed: WallTime?
    /// Bad shards found, over all rounds.
    package var found: UInt64 = 0
    /// What is read now, in bytes a second.
    package var bytesPerSecond = 0.0
    package init() {}
}

/// One walk after another over everything stored: where it is, and how fast it goes. A machine; what
/// it knows survives a restart.
struct ScrubMachine: Equatable, Sendable {
    /// Slower than this is not worth the seeks, in bytes a second.
    static let leastBytesPerSecond = 65_536.0

    private let timings: ScrubTimings
    /// The last shard of this round that was checked; nil before the first one.
    private(set) var cursor: ShardID?
    private var started: WallTime
    /// What is to be read in this round, and what was.
    private var total: UInt64
    private var done: UInt64 = 0
    private var rounds: UInt64 = 0
    private var completed: WallTime?
    private(set) var found: UInt64 = 0

    init(timings: ScrubTimings, total: UInt64, now: WallTime) {
        self.timings = timings
        self.total = total
        started = now
    }

    /// Bytes a second at which the round ends in time.
    func rate(now: WallTime) -> Double {
        let elapsed = Double(max(0, now.milliseconds - started.milliseconds)) / 1000
        let left = Double(total > done ? total - done : 0)
        // The last hundredth of the time is kept back: what is stored meanwhile is read too.
        let time = max(1, timings.period.inSeconds * 0.99 - elapsed)
        return min(
            timings.bytesPerSecond, max(ScrubMachine.leastBytesPerSecond, left / time))
    }

    /// Counts `bytes` that were read; returns how long to wait before the next are.
    mutating func read(_ bytes: Int, now: WallTime) -> Duration {
        let pause = Double(bytes) / rate(now: now)
        done += UInt64(bytes)
        return .nanoseconds(Int64(pause * 1e9))
    }

    /// One shard is done.
    mutating func checked(_ shard: ShardID, isBad: Bool) {
        cursor = shard
        if isBad { found += 1 }
    }

    /// The walk is at its end: the next one begins.
    mutating func finish(total: UInt64, now: WallTime) {
        rounds += 1
        completed = now
        cursor = nil
        started = now
        done = 0
        self.total = total
    }

    func status(now: WallTime) -> ScrubStatus {
        var status = ScrubStatus()
        status.progress = total == 0 ? 1 : min(1, Double(done) / Double(total))
        status.rounds = rounds
        status.completed = completed
        status.found = found
        status.bytesPerSecond = rate(now: now)
        return status
    }

    // MARK: Note

    var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 96)
        writer.write(UInt8(1))
        writer.write(UInt64(bitPattern: started.milliseconds))
        writer.write(total)
        writer.write(done)
        writer.write(rounds)
        writer.write(UInt64(bitPattern: completed?.milliseconds ?? 0))
        writer.write(found)
        writer.write(UInt8(cursor == nil ? 0 : 1))
        if let cursor {
            writer.write(cursor.segment.digest)
            writer.write(UInt16(cursor.index))
        }
        return writer.bytes
    }

    init(bytes: [UInt8], timings: ScrubTimings) throws(DecodingError) {
        var reader = ByteReader(bytes.span.bytes)
        let version = try reader.readUInt8()
        guard version == 1 else { throw .unknown(field: "version", value: UInt64(version)) }
        self.timings = timings
        started = WallTime(milliseconds: Int64(bitPattern: try reader.readUInt64()))
        total = try reader.readUInt64()
        done = try reader.readUInt64()
        rounds = try reader.readUInt64()
        let completed = Int64(bitPattern: try reader.readUInt64())
        self.completed = completed == 0 ? nil : WallTime(milliseconds: completed)
        found = try reader.readUInt64()
        if try reader.readUInt8() == 1 {
            let segment = SegmentID(try reader.readDigest())
            let index = Int(try reader.readUInt16())
            guard index < ObjectLimits.shards else { throw .outOfRange(field: "index") }
            cursor = ShardID(segment: segment, index: index)
        }
        try reader.finish()
    }
}
