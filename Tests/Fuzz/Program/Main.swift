import CFuzzDriver
import CyxCore
import Foundation

/// `fuzz list`, `fuzz seeds DIR`, `fuzz run TARGET FOLDER… [libFuzzer's flags]`.
@main struct Program {
    private nonisolated(unsafe) static var target = FuzzTarget.all[0]

    static func main() throws {
        let words = CommandLine.arguments.dropFirst()
        switch words.first {
        case "list":
            for target in FuzzTarget.all { print(target.name) }
        case "seeds":
            guard words.count == 2, let folder = words.last else { return usage() }
            try writeSeeds(to: URL(filePath: folder))
        case "run":
            guard let name = words.dropFirst().first,
                let found = FuzzTarget.all.first(where: { $0.name == name })
            else { return usage() }
            target = found
            run(Array(words.dropFirst(2)))
        default: usage()
        }
    }

    private static func usage() {
        print("fuzz list | seeds DIR | run TARGET [FOLDER…] [-max_total_time=SECONDS …]")
        exit(2)
    }

    /// Writes what the encoders give into a folder for each target, a file each.
    private static func writeSeeds(to folder: URL) throws {
        for target in FuzzTarget.all {
            let own = folder.appending(path: target.name)
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
            for (index, seed) in try target.seeds().enumerated() {
                try Data(seed).write(to: own.appending(path: "seed-\(index)"))
            }
        }
    }

    private static func run(_ words: [String]) {
        let all = ["fuzz", "-max_len=\(target.bytesMax)"] + words
        // libFuzzer keeps the pointers as long as it runs, and it ends the process itself.
        var arguments: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
        var count = Int32(all.count)
        let status = arguments.withUnsafeMutableBufferPointer { buffer in
            var base = buffer.baseAddress
            return LLVMFuzzerRunDriver(&count, &base) { bytes, count in
                let input = [UInt8](UnsafeBufferPointer(start: bytes, count: count))
                do {
                    _ = try Program.target.decode(input)
                } catch {
                    // Ends the process, so that the input is kept.
                    fatalError("\(Program.target.name): \(error)")
                }
                return 0
            }
        }
        exit(status)
    }
}
