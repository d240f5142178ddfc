import CyxObjects
import Testing

/// Every interleaving of writers that refer to a segment with collectors that condemn it, each of
/// them stopping at any step, over a register and a set of references that are read at quorums (B5).
struct CollectionOrderTests {
    /// One segment and all who act on it. A reference that is being written is seen by a quorum read
    /// or not, and may also land after its writer is gone.
    private struct World: Hashable {
        var life = SegmentLife.live
        var references: Set<Int> = []
        var landing: Set<Int> = []
        var claims: [SegmentClaim]
        /// Whose version is visible: what nothing must make dangle.
        var committed: Set<Int> = []
        var collectors: [SegmentCondemnation]

        init(writers: Int, collectors count: Int, _ rules: CollectionRules) {
            claims = Array(repeating: SegmentClaim(rules: rules), count: writers)
            collectors = (0..<count).map { SegmentCondemnation(name: [UInt8($0)], rules: rules) }
        }

        var isDangling: Bool {
            !committed.isEmpty && (life == .condemned || life == .absent)
        }

        /// All worlds that one step of one writer makes of this one.
        func steps(writer: Int) -> [World] {
            var next = self
            switch claims[writer].step {
            case .refer where landing.contains(writer):
                next.landing.remove(writer)
                next.references.insert(writer)
                next.claims[writer].referred()
            case .refer: next.landing.insert(writer)
            case .readState: next.claims[writer].read(life)
            case .unrefer:
                next.references.remove(writer)
                next.claims[writer].unreferred()
            case .granted where !committed.contains(writer): next.committed.insert(writer)
            case .granted, .refused: return []
            }
            return [next]
        }

        func steps(collector: Int) -> [World] {
            var next = self
            switch collectors[collector].step {
            case .readReferences:
                let views = landing.isEmpty ? [references.isEmpty] : [references.isEmpty, false]
                return Set(views).map { isEmpty in
                    var next = self
                    next.collectors[collector].read(isReferredTo: !isEmpty)
                    return next
                }
            case .condemn, .revive, .confirm:
                next.life = collectors[collector].change(life) ?? life
                next.collectors[collector].found(next.life)
                return [next]
            case .condemned where life == .condemned:
                next.life = .absent
                return [next]
            case .condemned, .kept: return []
            }
        }

        var steps: [World] {
            claims.indices.flatMap { steps(writer: $0) }
                + collectors.indices.flatMap { steps(collector: $0) }
        }
    }

    /// All worlds that can be reached, and whether one of them has a dangling version.
    private func explore(_ start: World) -> (reached: Set<World>, dangles: Bool) {
        var reached: Set<World> = [start]
        var open = [start]
        while let world = open.popLast() {
            if world.isDangling { return (reached, true) }
            for next in world.steps where reached.insert(next).inserted { open.append(next) }
        }
        return (reached, false)
    }

    @Test(arguments: [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3)])
    func noOrderOfStepsLeavesAVersionDangling(writers: Int, collectors: Int) {
        let start = World(writers: writers, collectors: collectors, CollectionRules())
        let (reached, dangles) = explore(start)
        #expect(!dangles)
        // Both outcomes are among them: the model explores something.
        #expect(reached.contains { $0.committed.count == writers })
        #expect(reached.contains { $0.life == .absent })
    }

    @Test func aWriterThatReadsTheStateFirstLosesItsSegment() {
        var rules = CollectionRules()
        rules.refersBeforeReadingState = false
        #expect(explore(World(writers: 1, collectors: 1, rules)).dangles)
    }

    @Test func aCollectorThatReadsReferencesFirstTakesWhatSomebodyNeeds() {
        var rules = CollectionRules()
        rules.condemnsBeforeReadingReferences = false
        #expect(explore(World(writers: 1, collectors: 1, rules)).dangles)
    }

    /// Wherever writers and collectors stopped, one collector more ends it: what nothing refers to
    /// goes, what something does is live again.
    @Test func aLaterCollectorFinishesWhatWasLeft() {
        let rules = CollectionRules()
        for world in explore(World(writers: 2, collectors: 2, rules)).reached {
            var last = world
            last.landing = []
            last.collectors = [SegmentCondemnation(name: [9], rules: rules)]
            while let next = last.steps(collector: 0).first { last = next }
            let isNeeded = !world.references.isEmpty
            if isNeeded, world.life != .condemned, world.life != .absent {
                #expect(last.life == .live)
            } else {
                #expect(last.life == .absent)
            }
        }
    }
}
