import CyxCore
import CyxStorage
import Glibc
import Synchronization
import Testing

/// A directory of one test, removed with everything in it when the test is done.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/cyx-storage-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw ScratchError() }
        path = String(cString: made)
    }

    struct ScratchError: Error {}

    deinit { ScratchDirectory.remove(path) }

    static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func remove(_ path: String) {
        for name in names(path) {
            let child = "\(path)/\(name)"
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }
}

func readFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { return bytes }
        bytes += buffer[..<count]
    }
}

func writeFile(_ path: String, _ bytes: [UInt8]) {
    guard let file = fopen(path, "w") else { return }
    defer { fclose(file) }
    _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
}

/// What a crash of the process at this moment leaves: the files as they are, without what is in its
/// memory. Copied again when background work changed them meanwhile, which no crash would mix.
func crashImage(of source: String, in target: String) {
    var before: [String] = []
    repeat {
        before = listing(source)
        ScratchDirectory.remove(target)
        copyTree(source, target)
    } while listing(source) != before
}

/// The names and sizes of all files below a directory.
private func listing(_ path: String) -> [String] {
    ScratchDirectory.names(path).flatMap { name in
        var status = stat()
        stat("\(path)/\(name)", &status)
        return ["\(path)/\(name) \(status.st_size)"] + listing("\(path)/\(name)")
    }
}

private func copyTree(_ source: String, _ target: String) {
    mkdir(target, 0o700)
    for name in ScratchDirectory.names(source) where name != "LOCK" {
        let child = "\(source)/\(name)"
        if ScratchDirectory.names(child).isEmpty {
            writeFile("\(target)/\(name)", readFile(child))
        } else {
            copyTree(child, "\(target)/\(name)")
        }
    }
}

/// The last file of a store's value log, and its length in bytes.
func logTail(_ directory: String) -> (name: String, size: Int) {
    let name = "\(directory)/values/\(ScratchDirectory.names("\(directory)/values").last ?? "")"
    return (name, readFile(name).count)
}

final class SilentSink: LogSink {
    func write(
        level: LogLevel, time: WallTime, part: String, message: String,
        fields: [(key: String, value: String)]
    ) {}
}

/// Runs `body` on a reactor with an environment around `storage`.
func withEnvironment<Value: Sendable>(
    _ storage: any StorageDevice,
    _ body: @escaping @Sendable (Environment) async throws -> Value
) async throws -> Value {
    let reactor = try Reactor()
    try reactor.start()
    let pool = try ThreadPool(threadCount: 2)
    let environment = Environment.production(
        reactor: reactor, storage: storage, blocking: pool, sink: SilentSink(),
        metrics: MetricsRegistry())
    defer {
        reactor.stop()
        pool.stop()
    }
    return try await Task(executorPreference: reactor) { try await body(environment) }.value
}

/// A device whose stores count flushes and fail them on demand.
final class FaultyDevice: StorageDevice {
    let store: FaultyStore

    init(_ inner: any StorageDevice) throws {
        store = FaultyStore(try inner.open("shards", kind: .shards))
    }

    func open(_ name: String, kind: StoreKind) throws(StoreError) -> any KeyValueStore { store }
    func freeBytes() -> Int64 { 1 << 40 }
}

final class FaultyStore: KeyValueStore {
    private let inner: any KeyValueStore
    let flushes = Atomic<Int>(0)
    let failsFlush = Atomic<Bool>(false)

    init(_ inner: any KeyValueStore) { self.inner = inner }

    func get(_ key: [UInt8]) throws(StoreError) -> [UInt8]? { try inner.get(key) }

    func write(_ writes: [KeyValueWrite], durable: Bool) throws(StoreError) {
        try inner.write(writes, durable: durable)
    }

    func flush() throws(StoreError) {
        flushes.wrappingAdd(1, ordering: .relaxed)
        guard !failsFlush.load(ordering: .relaxed) else { throw .noSpace }
        try inner.flush()
    }

    func scan(
        from: [UInt8], to: [UInt8]?, limit: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
        try inner.scan(from: from, to: to, limit: limit)
    }

    func close() { inner.close() }
}

func testKey(_ segment: UInt64, _ index: UInt8 = 0, _ chunk: UInt32 = 0) -> ShardKey {
    ShardKey(segment: SegmentID(Digest(segment, 1, 2, 3)), index: index, chunk: chunk)
}

func testBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
}
