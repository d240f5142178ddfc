/// `simulate nat`: the 16 ordered pairings of the four kinds of NAT.
package enum NATTable {
    /// Pairings that must be direct.
    package static let directPairings = 13

    /// Runs all pairings and prints the table; false if one is not as it should be.
    package static func run(seed: UInt64, print: (String) -> Void) -> Bool {
        var direct = 0
        var holds = true
        print(
            "caller behind (rows), called behind (columns): path in use after 20 s, and "
                + "milliseconds to the first answer; links take 20 to 25 ms one way")
        print(line("", NATKind.allCases.map(\.rawValue)))
        for caller in NATKind.allCases {
            var cells: [String] = []
            for target in NATKind.allCases {
                let outcome = NATPairing.run(caller: caller, target: target, seed: seed)
                let isDirect = outcome.direct != nil
                if isDirect { direct += 1 }
                let isRight =
                    isDirect == caller.opens(to: target) && outcome.firstAnswer != nil
                    && outcome.bulkAnswered && (outcome.relayedBulkBytes == 0) == isDirect
                holds = holds && isRight
                cells.append(
                    (isDirect ? "direct" : outcome.bulkAnswered ? "relayed" : "none")
                        + " \(outcome.firstAnswer.map { "\($0)" } ?? "-")"
                        + (isRight ? "" : " WRONG"))
            }
            print(line(caller.rawValue, cells))
        }
        print("\(direct) of 16 direct, \(16 - direct) relayed or not at all")
        var options = NATRunOptions()
        options.directDies = true
        let outcome = NATPairing.run(
            caller: .portRestrictedCone, target: .portRestrictedCone, seed: seed, options: options)
        print(
            "a direct path that dies in mid-call: "
                + (outcome.rescued.map { "answered after \($0) ms" } ?? "the call FAILED"))
        return holds && direct == directPairings && outcome.rescued != nil
    }

    private static func line(_ name: String, _ cells: [String]) -> String {
        ([name] + cells).map { cell in
            cell + String(repeating: " ", count: max(1, 22 - cell.count))
        }.joined()
    }
}
