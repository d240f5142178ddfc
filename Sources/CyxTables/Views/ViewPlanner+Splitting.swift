/// How large a partition may become, and how few partitions a network of many peers may have, before
/// one splits (A2).
package struct SplitLimits: Sendable {
    /// As many partitions for each view's worth of peers are too few.
    package var ratio: Double
    /// Bytes of rows that are too many.
    package var bytesMax: Int
    /// Bits of a prefix that splits no more.
    package var depthMax: UInt8

    /// By how much a member that agrees may count fewer peers or bytes than the one that proposes:
    /// they see other members, and have missed other rows.
    static let slack = 1.25

    package init(ratio: Double, bytesMax: Int, depthMax: UInt8) {
        self.ratio = ratio
        self.bytesMax = bytesMax
        self.depthMax = depthMax
    }

    /// `bytes`: of the partition's rows; nil while that is not known.
    func isExceeded(by view: View, peers: Int, bytes: Int?, slack: Double = 1) -> Bool {
        guard view.partition.depth < depthMax else { return false }
        let partitions = Double(UInt64(1) << UInt64(view.partition.depth))
        return partitions * Double(view.members.count) < ratio * Double(peers) * slack
            || Double(bytes ?? 0) * slack > Double(bytesMax)
    }
}

/// When a partition should split: once it is large for its network and nothing else is to be done,
/// as all members have to enter the two views that follow.
extension ViewPlanner {
    /// The view of the lower part that `view`'s partition should split into; nil without cause.
    /// In a network too large to know everybody the peers that are known are the fewest that there
    /// may be.
    package func split(of view: View, bytes: Int?) -> View? {
        guard let splits, isSettled, let lower = view.partition.children?.lower,
            view.members.count >= target.members,
            splits.isExceeded(by: view, peers: storerCount, bytes: bytes),
            successor(of: view) == nil, view.members.allSatisfy({ isThere($0) })
        else { return nil }
        var next = view
        next.id.partition = lower
        next.id.epoch += 1
        return next
    }

    /// Why this peer does not agree that `view`'s partition splits into that of `lower` and another;
    /// nil: it sees the cause too.
    func objection(toSplit lower: View, of view: View, bytes: Int?) -> String? {
        guard let splits, lower.follows(view), lower.partition == view.partition.children?.lower
        else { return "not a successor" }
        let isDue = splits.isExceeded(
            by: view, peers: storerCount, bytes: bytes, slack: SplitLimits.slack)
        return isDue ? nil : "no cause to split"
    }
}
