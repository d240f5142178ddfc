/// How much a log line matters, least first.
package enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error
    package static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Takes finished log events: a file or standard error in production, a trace in a simulation.
package protocol LogSink: AnyObject, Sendable {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)])
}

/// Structured log lines of one part of a peer. Never pass it secrets, tokens or object names.
package struct Logger: Sendable {
    package var part: String
    package var minimumLevel: LogLevel
    private let sink: any LogSink
    private let time: @Sendable () -> WallTime

    package init(
        part: String, minimumLevel: LogLevel, sink: any LogSink,
        time: @escaping @Sendable () -> WallTime
    ) {
        self.part = part
        self.minimumLevel = minimumLevel
        self.sink = sink
        self.time = time
    }

    /// The same log, its lines marked as coming from `part`.
    package func labelled(_ part: String) -> Logger {
        var copy = self
        copy.part = part
        return copy
    }

    package func log(
        _ level: LogLevel, _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(key: String, value: String)] = []
    ) {
        guard level >= minimumLevel else { return }
        sink.write(level: level, time: time(), part: part, message: message(), fields: fields())
    }

    package func debug(
        _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(key: String, value: String)] = []
    ) { log(.debug, message(), fields()) }

    package func info(
        _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(key: String, value: String)] = []
    ) { log(.info, message(), fields()) }

    package func warning(
        _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(key: String, value: String)] = []
    ) { log(.warning, message(), fields()) }

    package func error(
        _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(key: String, value: String)] = []
    ) { log(.error, message(), fields()) }
}
