import ProtocolSimulation
import Testing

/// Peers whose IDs were made for one partition and one segment, against placement.
@Suite struct GrindingTests {
    private static let peers = 80
    private static let identities = 16
    private static let trials = 4
    private static let share = 0.2

    private func figures(
        _ attack: GrindingAttack, _ defence: GrindingDefence, lies: Bool = false,
        isChecked: Bool = true
    ) -> GrindingFigures {
        GrindingFigures.measure(
            attack, against: defence, peers: Self.peers, identities: Self.identities,
            trials: Self.trials, liesAsCustodian: lies, isProposalChecked: isChecked, seed: 5)
    }

    /// Four standard deviations above a fair share of the seats of all trials.
    private func fair(_ share: Double) -> Double {
        let places = Double(GrindingFigures.viewSize * Self.trials)
        return share + 4 * (share * (1 - share) / places).squareRoot()
    }

    @Test func idsMadeForAVictimGetNoMoreThanTheirShare() {
        for attack in GrindingAttack.allCases {
            let figures = figures(attack, .all)
            #expect(figures.seatShare <= fair(Self.share), "\(attack)")
            #expect(figures.shardShare <= fair(Self.share), "\(attack)")
        }
    }

    @Test func withoutADefenceTheyOwnThePartitionAndTheSegment() {
        let figures = figures(.ahead, .none)
        #expect(figures.capturedViews == figures.trials)
        #expect(figures.capturedSegments == figures.trials)
    }

    @Test func neitherSaltNorAgeIsEnoughAlone() {
        #expect(figures(.chasing, .salt).seatShare > 0.5)
        #expect(figures(.ahead, .age).seatShare > 0.7)
    }

    @Test func aCustodianThatLiesCannotSeatItsFriends() {
        #expect(figures(.ahead, .all, lies: true, isChecked: false).seatShare > 0.8)
        // Where honest members propose the first, it may choose among the first three.
        let allowed = 1 - (1 - Self.share) * (1 - Self.share) * (1 - Self.share)
        #expect(figures(.ahead, .all, lies: true).seatShare <= fair(allowed))
    }
}
