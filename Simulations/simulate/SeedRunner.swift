import Glibc

/// Many seeds, each in a process of its own: as many at once as there are cores, what a death in the
/// simulated world abandoned is gone with the process, and a trap in one seed ends that seed alone.
struct SeedRunner {
    let scenarios: [String]
    /// What else every so many-th seed runs.
    let rare: (scenario: String, every: UInt64)?
    let seeds: Range<UInt64>
    let jobs: Int

    private var counts: [String: Int] = [:]
    private var virtualSeconds = 0
    private var held: Set<String> = []
    private var failed: [(seed: UInt64, lines: [String])] = []

    init(
        scenarios: [String], rare: (scenario: String, every: UInt64)? = nil,
        seeds: Range<UInt64>, jobs: Int?
    ) {
        self.scenarios = scenarios
        self.rare = rare
        self.seeds = seeds
        self.jobs = jobs ?? ChildProcess.defaultCount
    }

    /// Runs all seeds twice each and prints what they showed together; false if one failed.
    mutating func run() -> Bool {
        var running: [pid_t: (seed: UInt64, file: String)] = [:]
        var next = seeds.lowerBound
        while next < seeds.upperBound || !running.isEmpty {
            while running.count < jobs, next < seeds.upperBound {
                let file = "/tmp/simulate-\(getpid())-\(next)"
                guard let child = start(next, file) else { return false }
                running[child.id] = (next, file)
                next += 1
            }
            guard let ended = ChildProcess.wait(),
                let (seed, file) = running.removeValue(forKey: ended.id)
            else { continue }
            take(seed, readLines(file), passed: ended.passed)
            unlink(file)
        }
        report()
        return failed.isEmpty
    }

    private func start(_ seed: UInt64, _ file: String) -> ChildProcess? {
        var names = scenarios
        if let rare, seed.isMultiple(of: rare.every) { names.append(rare.scenario) }
        return ChildProcess.start(names + ["--seed", "\(seed)", "--twice"], output: file)
    }

    private func readLines(_ file: String) -> [String] {
        guard let stream = fopen(file, "r") else { return [] }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        while true {
            let byte = getc(stream)
            guard byte >= 0 else { break }
            bytes.append(UInt8(byte))
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Adds up what a run printed: `  NAME: COUNT`, and its first line's virtual seconds.
    private mutating func take(_ seed: UInt64, _ lines: [String], passed: Bool) {
        for line in lines {
            if line.hasPrefix("  held: ") {
                held.insert(String(line.dropFirst("  held: ".count)))
            } else if line.hasPrefix("  "), let colon = line.lastIndex(of: ":"),
                let count = Int(line[line.index(after: colon)...].filter { $0 != " " })
            {
                counts[line[..<colon].drop { $0 == " " }.description, default: 0] += count
            } else if let range = line.split(separator: ", ").first(where: {
                $0.hasSuffix(" virtual s")
            }) {
                virtualSeconds += Int(Double(range.split(separator: " ")[0]) ?? 0)
            }
        }
        guard !passed else { return say("seed \(seed) held") }
        failed.append((seed, lines.filter { $0.contains("VIOLATED") || $0.contains("DIFFERS") }))
        say("seed \(seed) FAILED: \(failed.last?.lines ?? [])")
    }

    private func report() {
        let hours = Double(virtualSeconds / 360) / 10
        print(
            "\(scenarios.joined(separator: " and "))"
                + (rare.map { ", every \($0.every)th seed \($0.scenario)" } ?? "")
                + ": seeds \(seeds.lowerBound) to "
                + "\(seeds.upperBound - 1), each twice to the same end; \(hours) virtual hours a "
                + "time")
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) { print("  \(name): \(count)") }
        for invariant in held.sorted() { print("  held: \(invariant)") }
        print(
            failed.isEmpty
                ? "all \(seeds.count) seeds held"
                : "\(failed.count) of \(seeds.count) seeds FAILED: "
                    + failed.map { "\($0.seed)" }.joined(separator: " "))
    }
}
