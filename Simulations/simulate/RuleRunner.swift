/// All rules of a kind, each left out in a process of its own: a rule takes up to thousands of worlds,
/// and what they abandon is gone with the process.
struct RuleRunner {
    /// What the rules are of, as `ProtocolFigures` names it.
    let name: String
    let rules: [String]
    let seed: UInt64
    let jobs: Int

    /// Each process prints its rule's line; false if one of them failed.
    func run() -> Bool {
        say("\(name): rule left out | seed | invariant broken | with all rules | runs")
        var rest = rules[...]
        var running = 0
        var holds = true
        while !rest.isEmpty || running > 0 {
            while running < jobs, let rule = rest.popFirst() {
                let arguments = [name, "--seed", "\(seed)", "--rule", rule]
                guard ChildProcess.start(arguments) != nil else { return false }
                running += 1
            }
            guard let ended = ChildProcess.wait() else { return false }
            running -= 1
            holds = ended.passed && holds
        }
        return holds
    }
}
