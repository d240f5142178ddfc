package import CyxCore
internal import CyxTransport

/// Large networks: asking after members that this peer's view does not hold, and finding those
/// where something is to be found.
extension Overlay {
    /// Between two looks at the list, and members asked at each: enough for a full list.
    private static let watchPause = Duration.seconds(5)
    private static let watchWidth = 144

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
        let contacts = await lookup(position)
        for contact in contacts { messaging.learn(contact) }
        return Array(contacts.map(\.peer).filter { $0 != machine.localPeer }.prefix(count))
    }

    /// Asks after those on the list while this peer does not know everybody.
    func watchMembers() async throws {
        while true {
            try await environment.sleep(for: Self.watchPause)
            guard machine.isPartial else { continue }
            let due = watchList.takeDue(Self.watchWidth, now: environment.now())
            guard !due.isEmpty else { continue }
            await withDiscardingTaskGroup { group in
                for peer in due { group.addTask { await self.ask(after: peer) } }
            }
            publishSnapshot()
        }
    }

    /// Asks a member where it was last, then where its neighbours say that it is. They deny knowing
    /// one that they hold dead.
    private func ask(after peer: PeerID) async {
        let known = machine.statement(of: peer)?.info ?? watchList.member(peer)?.info
        if let known, await isAnswered(known.contact) { return }
        let found = await find(peer, isThorough: true)
        if let found, found.info.contact.address != known?.contact.address,
            await isAnswered(found.info.contact)
        {
            return
        }
        watchList.handleFailure(of: peer, now: environment.now())
    }

    private func isAnswered(_ contact: PeerContact) async -> Bool {
        let answer = await findNode(contact.peer.digest, at: contact, wantsRecord: true)
        guard let record = answer?.record else { return false }
        learn(record.info)
        watchList.handleAnswer(
            record.info, isLeaving: record.isLeaving, now: environment.now())
        return true
    }

    /// What is known of members: by watching them, by having asked them, or by hearsay.
    func knownMembers() -> [PeerID: Member] {
        var members = machine.members(since: started)
        guard machine.isPartial else { return members }
        let watched = Set(machine.watchedPeers)
        for (peer, member) in watchList.members
        where peer != machine.localPeer && !watched.contains(peer) {
            var member = member
            if let joined = members[peer]?.joined { member.joined = min(joined, member.joined) }
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
