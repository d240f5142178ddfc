package import CyxCore

/// What is to be done next, and when.
extension RepairMachine {
    private struct Candidate {
        var task: RepairTask
        var isEndangered: Bool
        var margin: Int
        var predictedLoss: Double
        var since: Instant

        /// Fewest losses that can be borne first, then the likeliest loss, then the oldest. What can
        /// be rebuilt comes before that of which too little is there.
        func precedes(_ other: Candidate) -> Bool {
            if (margin < 0) != (other.margin < 0) { return margin >= 0 }
            if margin != other.margin { return margin < other.margin }
            if predictedLoss != other.predictedLoss { return predictedLoss > other.predictedLoss }
            if since != other.since { return since < other.since }
            return task.segment < other.task.segment
        }
    }

    /// What to begin now, the most endangered first. Nothing without a quorum of the custodians: a
    /// peer that sees few of the others may be the one that is cut off.
    package func due(_ peers: RepairPeers, now: Instant) -> [RepairTask] {
        var candidates: [Candidate] = []
        for id in unfinished {
            guard let segment = segments[id],
                let (task, since, at) = next(segment, peers), at <= now
            else { continue }
            candidates.append(
                Candidate(
                    task: task, isEndangered: segment.isEndangered, margin: segment.margin,
                    predictedLoss: predictedLoss(segment, peers), since: since))
        }
        candidates.sort { $0.precedes($1) }
        let endangered = candidates.filter(\.isEndangered)
            .prefix(max(0, limits.endangered - running.endangered))
        var tasks = endangered.map(\.task)
        var room = max(0, limits.ordinary - running.ordinary)
        var budget = throttle
        for candidate in candidates where !candidate.isEndangered {
            guard room > 0, budget.readyAt <= now, let segment = segments[candidate.task.segment]
            else { break }
            budget.charge(bytesMoved(candidate.task, segment), now: now)
            room -= 1
            tasks.append(candidate.task)
        }
        return tasks
    }

    /// When `due` next has something that it does not have now, as far as that can be told; nil if
    /// nothing waits, or only for a running one to end.
    package func nextDue(_ peers: RepairPeers, now: Instant) -> Instant? {
        var first: Instant?
        for id in unfinished {
            guard let segment = segments[id], let next = next(segment, peers) else { continue }
            var at = next.at
            if segment.isEndangered {
                guard running.endangered < limits.endangered else { continue }
            } else {
                guard running.ordinary < limits.ordinary else { continue }
                at = max(at, throttle.readyAt)
            }
            first = min(first ?? at, at)
        }
        return first
    }

    /// What a segment needs, since when, and when it may begin.
    private func next(
        _ segment: Segment, _ peers: RepairPeers
    ) -> (task: RepairTask, since: Instant, at: Instant)? {
        guard segment.runsAs == nil, segment.hasQuorum else { return nil }
        let task: RepairTask
        let since: Instant
        let delay: Duration
        if let missingSince = segment.missingSince {
            guard segment.margin >= 0 || !doubted(segment, peers).isEmpty else { return nil }
            task = .rebuild(segment.shape.id)
            since = missingSince
            delay =
                segment.isUrgent || segment.isEndangered
                ? timings.delays.endangered
                : segment.margin == 2 ? timings.delays.thin : timings.delays.comfortable
        } else if let crowded = segment.crowded, let crowdedSince = segment.crowdedSince {
            task = .move(segment.shape.id, crowded)
            since = crowdedSince
            delay =
                segment.leaving.contains(crowded) ? timings.delays.endangered : timings.declump
        } else if let surplusSince = segment.surplusSince {
            task = .release(segment.shape.id, segment.surplus)
            since = surplusSince
            delay = timings.surplus
        } else {
            return nil
        }
        if isPaused, !segment.isEndangered { return nil }
        let settled = segment.isUrgent ? since : segment.firstSeen + timings.settle
        var at = max(since + delay, settled) + timings.rankStagger * segment.rank
        if let retryAt = segment.retryAt { at = max(at, retryAt) }
        if let claimedUntil = segment.claimedUntil { at = max(at, claimedUntil) }
        if !segment.isEndangered, let stormEnd = peers.stormEnd { at = max(at, stormEnd) }
        return (task, since, at)
    }

    /// How many of its holders will be gone soon, in expectation.
    private func predictedLoss(_ segment: Segment, _ peers: RepairPeers) -> Double {
        good(segment, peers).reduce(0) { $0 + (peers[$1.peer]?.risk ?? 0) }
    }

    /// Segments whose rows are older than `refresh`, oldest first.
    package func stale(now: Instant, limit: Int) -> [SegmentID] {
        let age = { (segment: Segment) -> Duration in
            segment.missingSince == nil ? timings.refresh : min(timings.refresh, .seconds(5))
        }
        return segments.filter { $0.value.runsAs == nil && now - $0.value.loaded >= age($0.value) }
            .sorted { ($0.value.loaded, $0.key) < ($1.value.loaded, $1.key) }
            .prefix(limit).map(\.key)
    }
}
