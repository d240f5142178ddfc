extension ProtocolFigures {
    /// By how much the share of places may exceed that of peers: four standard deviations of the
    /// model, which no run of a fair choice should.
    private static func bound(_ share: Double, places: Int, trials: Int) -> Double {
        share + 4 * (share * (1 - share) / Double(places * trials)).squareRoot()
    }

    static func grinding(_ peers: Int, _ seed: UInt64, _ print: (String) -> Void) -> Bool {
        let identities = max(1, peers / 10)
        let trials = 50
        let share = Double(identities) / Double(peers)
        let size = GrindingFigures.viewSize
        let shards = GrindingFigures.shardCount
        let (quorum, loss) = (GrindingFigures.quorum, GrindingFigures.parityShards + 1)
        print(
            "\(peers) peers, \(identities) of them one attacker's, with IDs made for one partition "
                + "and one segment; \(trials) trials of \(GrindingFigures.vacancies) vacancies each. Binomial model: "
                + "\(quorum) of \(size) custodians in "
                + percent(GrindingFigures.binomial(atLeast: quorum, of: size, share: share))
                + ", \(loss) of \(shards) holders in "
                + percent(GrindingFigures.binomial(atLeast: loss, of: shards, share: share)))
        var holds = true
        func measure(
            _ attack: GrindingAttack, _ defence: GrindingDefence, lies: Bool = false,
            isChecked: Bool = true
        ) -> GrindingFigures {
            GrindingFigures.measure(
                attack, against: defence, peers: peers, identities: identities, trials: trials,
                liesAsCustodian: lies, isProposalChecked: isChecked, seed: seed)
        }
        for defence in GrindingDefence.allCases {
            for attack in GrindingAttack.allCases {
                let figures = measure(attack, defence)
                print("  \(defence.rawValue), \(attack.rawValue): \(describe(figures))")
                guard defence == .all else { continue }
                holds =
                    holds && figures.seatShare <= bound(share, places: size, trials: trials)
                    && figures.shardShare <= bound(share, places: shards, trials: trials)
            }
        }
        for isChecked in [false, true] {
            let figures = measure(.ahead, .all, lies: true, isChecked: isChecked)
            print(
                "  salt and age, its custodians propose only its own, "
                    + "\(isChecked ? "ranks checked" : "unchecked"): \(describe(figures))")
            guard isChecked else { continue }
            // Where honest members propose the first, it may choose among the first three.
            let allowed = 1 - (1 - share) * (1 - share) * (1 - share)
            holds = holds && figures.seatShare <= bound(allowed, places: size, trials: trials)
        }
        return holds
    }

    private static func describe(_ figures: GrindingFigures) -> String {
        "\(percent(figures.seatShare)) of the seats, a quorum in "
            + "\(percent(Double(figures.capturedViews) / Double(figures.trials))); "
            + "\(percent(figures.shardShare)) of the shards, more than may be lost in "
            + percent(Double(figures.capturedSegments) / Double(figures.trials))
    }
}
