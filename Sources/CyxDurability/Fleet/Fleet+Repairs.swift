package import CyxCore
internal import CyxObjects

extension Fleet {
    /// What the machines begin now, and when each of those that have something waiting wants to be
    /// asked again.
    package mutating func begin() -> (rebuilds: [FleetRebuild], wakes: [(slot: Int, at: Instant)]) {
        var rebuilds: [FleetRebuild] = []
        var wakes: [(slot: Int, at: Instant)] = []
        let asked = dirty.sorted()
        dirty = []
        for slot in asked where slots[slot].isUp {
            for task in machines[slot].due(peers, now: now) {
                machines[slot].begin(task, now: now)
                if let rebuild = plan(task, at: slot) {
                    rebuilds.append(rebuild)
                } else {
                    machines[slot].end(task.segment, succeeded: false, now: now)
                }
            }
            if let next = machines[slot].nextDue(peers, now: now) {
                wakes.append((slot, max(next, now + .milliseconds(1))))
            }
        }
        return (rebuilds, wakes)
    }

    /// Asks a machine again.
    package mutating func wake(_ slot: Int) { dirty.insert(slot) }

    private mutating func plan(_ task: RepairTask, at slot: Int) -> FleetRebuild? {
        guard let number = numbers[task.segment],
            let segment = machines[slot].segments[task.segment]
        else { return nil }
        let sources = sources(number)
        var rebuild = FleetRebuild(
            segment: number, repairer: slot, repairerLife: slots[slot].life,
            segmentLife: segments[number].life, task: task, sources: [], targets: [], begun: now)
        let holders = Set(segments[number].entries.compactMap { reader(of: $0, number) })
        switch task {
        case .rebuild:
            guard sources.count >= setup.code.dataShards else { return nil }
            rebuild.sources = nearest(sources, to: slot)
            var chosen = targets(segment.missing.count, holders: holders)
            if chosen.isEmpty {
                // Everyone has something: who has a spare alone takes a missing shard, too.
                chosen = targets(segment.missing.count, holders: Set(sources.map(\.slot)))
            }
            rebuild.wanted = segment.missing.count
            rebuild.targets = zip(segment.missing, chosen).map {
                .init(index: $0, slot: $1, life: slots[$1].life)
            }
        case .move(_, let entry):
            // It may be a spare, which is no source of a rebuild.
            guard let source = reader(of: entry, number) else { return nil }
            rebuild.sources = [(entry.index, source)]
            rebuild.wanted = 1
            rebuild.targets = targets(1, holders: holders.subtracting([source])).map {
                .init(index: entry.index, slot: $0, life: slots[$0].life)
            }
        case .release:
            return rebuild
        }
        // There may be nobody to take anything.
        return rebuild.targets.isEmpty ? nil : rebuild
    }

    /// Listed holders that are up, one of each index.
    private func sources(_ number: Int) -> [(index: Int, slot: Int)] {
        var seen: Set<Int> = []
        var result: [(index: Int, slot: Int)] = []
        for entry in segments[number].entries where !seen.contains(entry.index) {
            guard let slot = reader(of: entry, number) else { continue }
            seen.insert(entry.index)
            result.append((entry.index, slot))
        }
        return result
    }

    /// k of them; its own shard costs a repairer nothing.
    private mutating func nearest(
        _ sources: [(index: Int, slot: Int)], to slot: Int
    ) -> [(index: Int, slot: Int)] {
        let own = sources.filter { $0.slot == slot }
        let others = sources.filter { $0.slot != slot }.shuffled(using: &generator)
        return Array((own + others).prefix(setup.code.dataShards))
    }

    /// Whether who began it still lives.
    package func isAlive(_ rebuild: FleetRebuild) -> Bool {
        slots[rebuild.repairer].life == rebuild.repairerLife
    }

    /// Tells the other watchers of a segment that somebody rebuilds it, or is done with it.
    package mutating func claim(_ rebuild: FleetRebuild, ended: Bool = false) {
        guard case .rebuild(let id) = rebuild.task else { return }
        for slot in watchers[partition(rebuild.segment)] where slot != rebuild.repairer {
            if ended { machines[slot].claimEnded(id) } else { machines[slot].claimed(id, now: now) }
            dirty.insert(slot)
        }
    }

    /// A rebuild is done: its targets that are still there have their shards.
    package mutating func finish(_ rebuild: FleetRebuild) {
        guard isAlive(rebuild) else { return }
        let number = rebuild.segment
        guard segments[number].life == rebuild.segmentLife else { return abandon(rebuild) }
        let id = rebuild.task.segment
        let missingSince = machines[rebuild.repairer].segments[id]?.missingSince
        let good = machines[rebuild.repairer].segments[id].map {
            Set(machines[rebuild.repairer].good($0, peers))
        }
        var added: Set<Int> = []
        for target in rebuild.targets where slots[target.slot].life == target.life {
            let copy = FleetSegment.Copy(
                index: target.index, slot: target.slot, peer: slots[target.slot].peer)
            segments[number].entries.append(entry(target.index, target.slot))
            segments[number].copies.append(copy)
            stored[target.slot].insert(number)
            added.insert(target.index)
        }
        switch rebuild.task {
        case .rebuild:
            let targets = Set(rebuild.targets.map { slots[$0.slot].peer })
            segments[number].entries.removeAll { entry in
                added.contains(entry.index) && good?.contains(entry) == false
                    && !targets.contains(entry.peer)
            }
            tally.rebuiltShards += added.count
            tally.rebuilds += 1
            if let missingSince, !added.isEmpty {
                tally.windows.append((now - missingSince) / .seconds(3600))
            }
        case .move(_, let entry):
            if !added.isEmpty { drop([entry], of: number) }
            tally.moves += 1
        case .release(_, let entries):
            drop(entries, of: number)
        }
        count(number)
        let isWhole = added.count == rebuild.wanted
        machines[rebuild.repairer].end(id, succeeded: isWhole, now: now)
        tell(number)
        claim(rebuild, ended: true)
        if !watchers[partition(number)].contains(rebuild.repairer) {
            machines[rebuild.repairer].remove(id)
        }
        dirty.insert(rebuild.repairer)
    }

    private mutating func drop(_ entries: [HolderEntry], of number: Int) {
        segments[number].entries.removeAll { entries.contains($0) }
        for entry in entries {
            segments[number].copies.removeAll { copy in
                guard copy.peer == entry.peer, copy.index == entry.index else { return false }
                stored[copy.slot].remove(number)
                return true
            }
        }
    }

    /// What was begun came to nothing.
    package mutating func abandon(_ rebuild: FleetRebuild) {
        guard isAlive(rebuild) else { return }
        machines[rebuild.repairer].end(rebuild.task.segment, succeeded: false, now: now)
        dirty.insert(rebuild.repairer)
        claim(rebuild, ended: true)
    }

    /// Whether every shard of every segment can be read.
    package var isFull: Bool { segments.allSatisfy { $0.readable == setup.code.shards } }

    package func isLost(_ segment: Int) -> Bool { segments[segment].isLost }

    /// Segments by how many more losses they bear; below none: they cannot be read.
    package func margins() -> [Int: Int] {
        var counts: [Int: Int] = [:]
        for segment in segments {
            counts[segment.readable - setup.code.dataShards, default: 0] += 1
        }
        return counts
    }
}

/// What happened to a fleet.
package struct FleetTally: Sendable {
    /// Segments of which fewer than k shards were left on any disk.
    package var lost = 0
    /// How often a segment missed shards until it was full again or put down anew, by the most
    /// that were missing at once.
    package var episodes: [Int: Int] = [:]
    package var rebuilds = 0
    package var rebuiltShards = 0
    package var moves = 0
    /// Hours from when the custodian noticed the first missing shard to the end of each rebuild.
    package var windows: [Double] = []
    /// Hours that segments spent bearing one more loss or none.
    package var atRiskHours = 0.0
    /// Hours that segments could not be read.
    package var unreadableHours = 0.0
    package init() {}
}
