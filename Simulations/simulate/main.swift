import CyxCore
import CyxKernels
import Glibc
import ProtocolSimulation
import SimulationHarness
import SimulationScenarios

/// `simulate NAME…|all [--seed S] [--seeds N] [--peers N] [--seconds S] [--twice] [--trace FILE]
/// [--log LEVEL]`: runs scenarios from seeds, prints what they showed, and exits with 1 if an
/// invariant was violated or two runs of one seed differed, 2 for a command that it cannot read.
///
/// With `--jobs N` each seed runs in a process of its own, N at once (0: one for each core), twice,
/// and what all of them showed is added up: seeds, virtual hours, faults by kind, operations.
///
/// `simulate seeds [--seed S] [--seeds N] [--whole K] [--jobs N]`: tables and objects alone for each
/// seed, and whole peers under the same faults for every K-th one, as `--jobs` runs them.
///
/// `simulate rules|object-rules [--seed S] [--rule NAME] [--jobs N]`: for each rule of tables or of
/// objects, or for one, a seed at which an invariant breaks without it.
///
/// `simulate lookup|eclipse|upkeep|detection|audits|links|grinding|repair|durability|views
/// [--seed S] [--peers N]`: measures machines alone, up to a million peers, and exits with 1 if a
/// figure misses its bound.
struct Simulate {
    private var names: [String] = []
    private var seed: UInt64 = 1
    private var seeds: UInt64 = 1
    private var twice = false
    private var jobs: Int?
    /// The one rule to be left out.
    private var rule: String?
    /// Of how many seeds `seeds` runs whole peers for one.
    private var wholeEvery: UInt64 = 25
    private var isSeedRun = false
    private var options = ScenarioOptions(seed: 0)
    private var traceFile: UnsafeMutablePointer<FILE>?

    private static let usage = """
        usage: simulate NAME...|all [--seed S] [--seeds N] [--peers N] [--seconds S] [--twice]
                        [--trace FILE] [--log debug|info|warning|error] [--jobs N]
               simulate NAME... [--seed S] [--peers N]
               simulate seeds [--seed S] [--seeds N] [--whole K] [--jobs N]
               simulate rules|object-rules [--seed S] [--rule NAME] [--jobs N]
        scenarios of whole peers: \(Scenarios.names.joined(separator: ", "))
        measurements of machines alone: \(ProtocolFigures.names.joined(separator: ", "))
        """

    static func main() -> Int32 {
        var simulate = Simulate()
        if let problem = simulate.read(Array(CommandLine.arguments.dropFirst())) {
            print("simulate: \(problem)\n\(usage)")
            return 2
        }
        return simulate.run() ? 0 : 1
    }

    /// What is wrong with the arguments, if anything.
    private mutating func read(_ arguments: [String]) -> String? {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h":
                print(Simulate.usage)
                exit(0)
            case "--twice": twice = true
            case "--seed", "--seeds", "--peers", "--seconds", "--trace", "--log", "--jobs",
                "--whole", "--rule":
                guard let value = rest.popFirst() else { return "\(argument) needs a value" }
                if let problem = set(argument, value) { return problem }
            case "seeds": isSeedRun = true
            case "all": names += Scenarios.names
            case let name where Scenarios.names.contains(name): names.append(name)
            case let name where ProtocolFigures.names.contains(name): names.append(name)
            default: return "unknown argument `\(argument)`"
            }
        }
        if isSeedRun {
            guard names.isEmpty else { return "`seeds` runs scenarios of its own" }
            names = ["tables", "objects"]
            jobs = jobs ?? 0
        }
        guard !names.isEmpty else { return "no scenario named" }
        let rules = names.flatMap { ProtocolFigures.rules(of: $0) }
        if let rule, !rules.contains(rule) {
            return rules.isEmpty
                ? "--rule is for `rules` and `object-rules`" : "no rule `\(rule)` is known there"
        }
        return nil
    }

    private mutating func set(_ flag: String, _ value: String) -> String? {
        if flag == "--trace" {
            guard let file = fopen(value, "w") else { return "cannot write `\(value)`" }
            traceFile = file
            // The simulation runs on this one thread, which alone writes the file.
            nonisolated(unsafe) let target = file
            options.trace = { line in fputs(line + "\n", target) }
            return nil
        }
        if flag == "--log" {
            guard let level = LogLevel.allCases.first(where: { "\($0)" == value }) else {
                return "unknown log level `\(value)`"
            }
            options.printedLogLevel = level
            return nil
        }
        if flag == "--rule" {
            rule = value
            return nil
        }
        guard let number = UInt64(value), number < 1 << 53 else { return "`\(value)` is no number" }
        switch flag {
        case "--seed": seed = number
        case "--seeds": seeds = max(1, number)
        case "--jobs": jobs = Int(number)
        case "--whole": wholeEvery = max(1, number)
        case "--peers": options.peers = Int(max(1, number))
        default: options.duration = .seconds(Int64(number))
        }
        return nil
    }

    private mutating func run() -> Bool {
        let isOfRules = names.contains { !ProtocolFigures.rules(of: $0).isEmpty }
        if let jobs, !isOfRules {
            var runner = SeedRunner(
                scenarios: names, rare: isSeedRun ? ("storm", wholeEvery) : nil,
                seeds: seed..<seed + seeds, jobs: jobs > 0 ? jobs : nil)
            return runner.run()
        }
        var failures = 0
        options.progress = { line in
            let bytes = Array((line + "\n").utf8)
            _ = write(STDERR_FILENO, bytes, bytes.count)
        }
        for name in names {
            for number in seed..<seed + seeds where !runOnce(name, number) { failures += 1 }
        }
        if let traceFile { fclose(traceFile) }
        // A rule's own line says all of it.
        guard rule == nil else { return failures == 0 }
        let runs = UInt64(names.count) * seeds
        print(failures == 0 ? "all \(runs) runs held" : "\(failures) of \(runs) runs FAILED")
        return failures == 0
    }

    private mutating func runOnce(_ name: String, _ seed: UInt64) -> Bool {
        options.seed = seed
        let rules = ProtocolFigures.rules(of: name)
        if !rules.isEmpty {
            if let rule {
                return ProtocolFigures.isNeeded(
                    rule, of: name, seed: seed, cpuSeconds: Simulate.cpuSeconds, print: say)
            }
            return RuleRunner(
                name: name, rules: rules, seed: seed,
                jobs: jobs.flatMap { $0 > 0 ? $0 : nil } ?? ChildProcess.defaultCount
            ).run()
        }
        if ProtocolFigures.names.contains(name) {
            return ProtocolFigures.run(
                name, peers: options.peers, seed: seed, printed: options.printedLogLevel,
                cpuSeconds: Simulate.cpuSeconds,
                heapBytes: { Int(cyx_heap_bytes()) },
                print: say)
        }
        let start = Simulate.cpuSeconds()
        guard let report = Scenarios.run(name, options) else { return false }
        let seconds = Simulate.cpuSeconds() - start
        say(report.text)
        let ratio = report.virtualSeconds / max(0.001, seconds)
        say("  \(seconds) s of CPU time: virtual to CPU time \(Int(ratio)):1")
        guard twice else { return report.passed }
        let again = Scenarios.run(name, options)
        let isSame = again == report
        say(isSame ? "  second run: same trace" : "  second run DIFFERS: \(again?.trace as Any)")
        return report.passed && isSame
    }

    private static func cpuSeconds() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }
}

/// Prints at once: a run takes minutes to hours, and whoever keeps its output in a file follows it.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

exit(Simulate.main())
