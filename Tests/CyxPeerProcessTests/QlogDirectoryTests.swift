import CyxCore
import Foundation
import Testing

@testable import CyxPeerProcess

@Suite struct QlogDirectoryTests {
    private final class Immediate: BlockingPool {
        func submit(_ work: @escaping @Sendable () -> Void) { work() }
    }

    private func directory() -> URL {
        FileManager.default.temporaryDirectory.appending(path: "qlog-\(UUID())")
    }

    @Test func recordsOfATraceFollowEachOtherInItsFile() throws {
        let folder = directory()
        defer { try? FileManager.default.removeItem(at: folder) }
        let sink = try QlogDirectory(path: folder.path, pool: Immediate())
        sink.write("a.sqlog", [1, 2], isLast: false)
        sink.write("b.sqlog", [9], isLast: false)
        sink.write("a.sqlog", [3], isLast: true)
        #expect(try Data(contentsOf: folder.appending(path: "a.sqlog")) == Data([1, 2, 3]))
        #expect(try Data(contentsOf: folder.appending(path: "b.sqlog")) == Data([9]))
    }

    @Test func filesAndTheirSizesAreBounded() throws {
        let folder = directory()
        defer { try? FileManager.default.removeItem(at: folder) }
        let sink = try QlogDirectory(path: folder.path, pool: Immediate())
        let piece = [UInt8](repeating: 0, count: QlogDirectory.fileBytesMax / 4)
        for _ in 0..<6 { sink.write("big", piece, isLast: false) }
        let size = try folder.appending(path: "big").resourceValues(forKeys: [.fileSizeKey])
        #expect(size.fileSize == QlogDirectory.fileBytesMax)
        for number in 0..<QlogDirectory.filesMax + 5 {
            sink.write("file\(number)", [1], isLast: true)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names.count == QlogDirectory.filesMax)
    }

    @Test func aDirectoryThatCannotBeMadeIsNamed() {
        let error = #expect(throws: ConfigurationError.self) {
            try QlogDirectory(path: "/proc/nowhere/qlog", pool: Immediate())
        }
        #expect(error?.message.contains("/proc/nowhere/qlog") == true)
    }
}
