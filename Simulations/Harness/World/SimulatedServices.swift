package import CyxCore
internal import Synchronization

/// A peer's random source, a stream of the world's seed.
package final class SimulatedRandom: RandomSource {
    private let generator: Mutex<SeededGenerator>

    package init(seed: UInt64) {
        generator = Mutex(SeededGenerator(seed: seed))
    }

    package func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        generator.withLock { generator in
            var offset = 0
            while offset < buffer.count {
                withUnsafeBytes(of: generator.next().littleEndian) { word in
                    let count = min(8, buffer.count - offset)
                    let target = UnsafeMutableRawBufferPointer(
                        rebasing: buffer[offset..<offset + count])
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: word[..<count]))
                    offset += count
                }
            }
        }
    }
}

/// Runs blocking work later on the one thread, each item after its own small virtual latency, so
/// that items overtake one another as they do on several threads.
package final class SimulatedBlockingPool: BlockingPool {
    /// Shortest and longest virtual time that an item takes.
    package static let latency = (least: 20_000 as UInt64, most: 400_000 as UInt64)

    private let executor: SimulatedExecutor
    private let generator: Mutex<SeededGenerator>

    init(executor: SimulatedExecutor, seed: UInt64) {
        self.executor = executor
        generator = Mutex(SeededGenerator(seed: seed))
    }

    package func submit(_ work: @escaping @Sendable () -> Void) {
        guard executor.isAlive else { return }
        let range = Self.latency.least...Self.latency.most
        let delay = generator.withLock { UInt64.random(in: range, using: &$0) }
        executor.engine.schedule(
            at: executor.now() + .nanoseconds(Int64(delay)), kind: .blocking, owner: executor,
            isolated: false, work)
    }
}

/// Keeps the last log lines of a peer, over all its lives, and prints them if asked.
package final class SimulatedLog: LogSink {
    package struct Line: Sendable {
        package var level: LogLevel
        package var part: String
        package var message: String
        package var fields: [(key: String, value: String)]

        package var text: String {
            let details = fields.map { " \($0.key)=\($0.value)" }.joined()
            return "\(level) \(part): \(message)\(details)"
        }
    }

    /// Lines kept of each peer.
    package static let lineLimit = 400

    private let name: String
    private let engine: EventEngine
    private let printedLevel: LogLevel?
    private let lines = Mutex<[Line]>([])

    init(name: String, engine: EventEngine, printedLevel: LogLevel?) {
        self.name = name
        self.engine = engine
        self.printedLevel = printedLevel
    }

    package var lastLines: [Line] { lines.withLock { $0 } }

    package func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {
        let line = Line(level: level, part: part, message: message, fields: fields)
        lines.withLock { lines in
            // Dropping half at once keeps appending O(1).
            if lines.count >= Self.lineLimit { lines.removeFirst(Self.lineLimit / 2) }
            lines.append(line)
        }
        if let printedLevel, level >= printedLevel {
            let milliseconds = engine.now.nanoseconds / 1_000_000
            print("\(milliseconds) ms \(name) \(line.text)")
        }
    }
}
