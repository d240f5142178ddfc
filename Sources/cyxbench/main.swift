import CyxBenchmarks
import CyxCore
import Glibc

let command = CommandSpec(
    name: "cyxbench", summary: "Measures one part of CyxCloud beside a baseline of the same run.",
    flags: [
        FlagSpec("json", nil, "one JSON object per row"),
        FlagSpec("help", nil, "show this help"),
    ],
    arguments: "NAME", argumentCount: 0...1)

/// The status of a command line that makes no sense.
let usageStatus: Int32 = 2

func listOfBenchmarks() -> String {
    BenchmarkRegistry.all.map { "  \($0.name)  \($0.summary)\n" }.joined()
}

func printError(_ text: String) {
    _ = write(STDERR_FILENO, text, text.utf8.count)
}

func complain(_ message: String) {
    printError("cyxbench: \(message)\n\nbenchmarks:\n\(listOfBenchmarks())")
}

// As the peer does.
ProcessMemory.tune()

do {
    let parsed = try command.parse(Array(CommandLine.arguments.dropFirst()))
    if parsed.has("help") {
        print(command.helpText + "\nbenchmarks:\n" + listOfBenchmarks(), terminator: "")
        exit(0)
    }
    guard let name = parsed.arguments.first else {
        complain("which benchmark?")
        exit(usageStatus)
    }
    guard let benchmark = BenchmarkRegistry.benchmark(named: name) else {
        let hint = nearest(to: name, among: BenchmarkRegistry.all.map(\.name))
        complain("no benchmark \(name)" + (hint.map { "; did you mean \($0)?" } ?? ""))
        exit(usageStatus)
    }
    for row in try await benchmark.run(size: .full) {
        print(parsed.has("json") ? row.json : row.text)
    }
} catch let error as UsageError {
    complain(error.message)
    exit(usageStatus)
} catch {
    printError("cyxbench: \(error)\n")
    exit(1)
}
