package import CyxCore
internal import CyxTransport

/// Large networks: asking after members that this peer's view does not hold, and finding those
/// where something is to be found.
extension Overlay {
    package nonisolated func watch(_ peers: Set<PeerID>, for interest: WatchList.Interest) {
        environment.executor.execute { [weak self] in
            guard let self else { return }
            self.assumeIsolated { overlay in
                overlay.watchList.want(peers, for: interest, now: overlay.environment.now())
            }
        }
    }

    /// Those closest to `position` in the whole network while this peer does not know everybody;
    /// else everybody agrees on the first by rendezvous.
    package func keepers(of position: Digest, count: Int) async -> [PeerID] {
        guard machine.isPartial else { return snapshot.ranked(position, count: count) }
        // As before a write: nobody may hide a partition by crowding around it (A3).
        let contacts = await explore(position, isForWriting: true).lookup.result
        for contact in contacts { messaging.learn(contact) }
        return Array(contacts.map(\.peer).filter { $0 != machine.localPeer }.prefix(count))
    }

    /// Asks after those on the list while this peer does not know everybody.
    func watchMembers() async throws {
        while true {
            try await environment.sleep(for: WatchList.pause)
            guard machine.isPartial else { continue }
            let due = watchList.takeDue(WatchList.width, now: environment.now())
            guard !due.isEmpty else { continue }
            await withDiscardingTaskGroup { group in
                for peer in due { group.addTask { await self.ask(after: peer) } }
            }
            if watchList.takeChanged() { publishSnapshot() }
        }
    }

    /// Asks a member where it was last, then where its neighbours say that it is. They deny knowing
    /// one that they hold dead, and show what one that is off for maintenance has announced.
    private func ask(after peer: PeerID) async {
        if machine.isReachable(peer), machine.isWatched(peer),
            let known = machine.statement(of: peer)
        {
            watchList.handleWord(known.info, .alive, now: environment.now())
            return
        }
        let known = machine.statement(of: peer)?.info ?? watchList.member(peer)?.info
        if let known, await isAnswered(known.contact) { return }
        let found = await find(peer, isThorough: true)
        if let found, found.info.contact.address != known?.contact.address,
            await isAnswered(found.info.contact)
        {
            return
        }
        if let found, found.awayUntilMilliseconds > wallMilliseconds {
            watchList.handleWord(found.info, .away, now: environment.now())
            return
        }
        watchList.handleFailure(of: peer, now: environment.now())
    }

    private func isAnswered(_ contact: PeerContact) async -> Bool {
        let answer = await findNode(contact.peer.digest, at: contact, wantsRecord: true)
        guard let record = answer?.record else { return false }
        learn(record.info)
        watchList.handleWord(
            record.info, record.isLeaving ? .left : .alive, now: environment.now())
        return true
    }

    /// What is known of members: by watching them, by having asked them, or by hearsay.
    func knownMembers() -> [PeerID: Member] {
        var members = machine.members(since: started)
        guard machine.isPartial else { return members }
        for (peer, member) in watchList.members where peer != machine.localPeer {
            var member = member
            if let own = members[peer] {
                // Neighbours are probed here, and what they announce comes here first.
                let isKnownBetter =
                    own.isReachable
                    ? machine.isWatched(peer) : own.since >= watchList.heard(peer) ?? own.since
                if isKnownBetter { continue }
                member.joined = min(own.joined, member.joined)
            }
            members[peer] = member
        }
        return members
    }
}

extension MembershipSnapshot {
    /// Reachable members other than this peer, by rendezvous for `position`.
    package func ranked(_ position: Digest, count: Int) -> [PeerID] {
        let others = reachable.map(\.peer).filter { $0 != localPeer }
        return Array(Rendezvous.rank(position: position, peers: others).prefix(count))
    }
}
