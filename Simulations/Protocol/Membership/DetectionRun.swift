import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport

/// Membership machines in an event heap, with what the shell does for each of them: messages with
/// the internet's round trips, calls that time out, helpers.
struct DetectionRun {
    private enum Kind: UInt8 {
        case timer, delivery, relayTimeout, crash
    }

    /// A helper's probe for another member.
    private struct Relay {
        var helper: Int
        var asker: Int
        var probe: UInt64
        var askerDeadline: Int64
        var isOver = false
    }

    private let experiment: DetectionExperiment
    private var machines: [MembershipMachine] = []
    private var keys: [SigningKey] = []
    private var indices: [PeerID: Int] = [:]
    private var heap = ProtocolHeap()
    private var mail = MailRoom()
    private var relays: [Relay] = []
    /// When each machine's next timer event is due.
    private var armed: [Int64]
    private let network: NetworkModel
    private var generator: SeededGenerator
    private let isSlow: [Bool]
    private let victim: Int
    private var isDead = false
    private var knowing: Set<Int> = []
    private var outcome = DetectionOutcome()

    init(_ experiment: DetectionExperiment) {
        precondition(experiment.slow + 2 <= experiment.peers, "somebody must be healthy")
        self.experiment = experiment
        let peers = experiment.peers
        generator = SeededGenerator(seed: experiment.seed)
        network = NetworkModel(.planetLab, peers: peers, generator: &generator)
        let order = (0..<peers).shuffled(using: &generator)
        var isSlow = [Bool](repeating: false, count: peers)
        for index in order.prefix(experiment.slow) { isSlow[index] = true }
        self.isSlow = isSlow
        victim = order[experiment.slow]
        armed = [Int64](repeating: .max, count: peers)
        populate()
    }

    /// Members that have all heard of each other just now.
    private mutating func populate() {
        keys = (0..<experiment.peers).map { _ in
            let seed = (0..<SigningKey.seedSize).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            return SigningKey(seed: seed)
        }
        let statements = keys.indices.map { statement($0) }
        let now = Instant(nanoseconds: 0)
        for (index, own) in statements.enumerated() {
            indices[own.peer] = index
            var machine = MembershipMachine(
                own: own, timings: experiment.timings, defences: experiment.defences,
                seed: generator.next(), now: now)
            for other in statements where other.peer != own.peer { machine.handle(other, now: now) }
            _ = machine.takeActions()
            machines.append(machine)
        }
    }

    private func statement(_ index: Int) -> MemberStatement {
        let key = keys[index]
        let address = SocketAddress(
            ipv4: (20, UInt8(index >> 16 & 255), UInt8(index >> 8 & 255), UInt8(index & 255)),
            port: 7700)
        let info = MemberInfo(
            contact: PeerContact(peer: key.verifyingKey.peerID, address: address), roles: .storage,
            zone: "zone\(index % 16)", store: nil, allocatedBytes: 1 << 40, freeBytes: 1 << 39)
        return .sign(info, incarnation: 1000, key: key, network: NetworkID(.zero))
    }

    // MARK: Running

    mutating func run() -> DetectionOutcome {
        for index in machines.indices { arm(index) }
        heap.schedule(at: DetectionExperiment.crash, kind: Kind.crash.rawValue, subject: victim)
        while let event = heap.next(), event.time < DetectionExperiment.end {
            guard let kind = Kind(rawValue: event.kind) else { continue }
            let (subject, time) = (Int(event.subject), event.time)
            switch kind {
            case .timer: timer(subject, time)
            case .delivery: deliver(subject, time)
            case .relayTimeout: finish(subject, reached: false, time)
            case .crash: isDead = true
            }
        }
        outcome.missed += isKnownToAll ? 0 : 1
        let seconds = Double(DetectionExperiment.end - DetectionExperiment.start) / 1e9
        outcome.memberSeconds = seconds * Double(experiment.peers)
        outcome.events = heap.processed
        return outcome
    }

    private func isGone(_ index: Int) -> Bool { isDead && index == victim }

    /// When `index`, if it is slow, handles what reaches it at `time`.
    private func blockEnd(_ index: Int, _ time: Int64) -> Int64? {
        isSlow[index] ? experiment.blockEnd(at: time) : nil
    }

    private mutating func timer(_ index: Int, _ time: Int64) {
        guard !isGone(index), armed[index] == time else { return }
        armed[index] = .max
        if experiment.block == .process, let end = blockEnd(index, time) {
            armed[index] = end
            heap.schedule(at: end, kind: Kind.timer.rawValue, subject: index)
            return
        }
        machines[index].handleTimeout(now: Instant(nanoseconds: time))
        pump(index, time)
    }

    private mutating func arm(_ index: Int) {
        let due = machines[index].nextTimeout.nanoseconds
        guard due < armed[index] else { return }
        armed[index] = due
        heap.schedule(at: due, kind: Kind.timer.rawValue, subject: index)
    }

    /// Carries out what a machine wants, as the overlay's shell would.
    private mutating func pump(_ index: Int, _ time: Int64) {
        for action in machines[index].takeActions() {
            switch action {
            case .probe(let id, let target, let timeout):
                let deadline = time + timeout.nanoseconds
                send(from: index, to: target, .probe(id), deadline: deadline, time)
            case .probeThrough(let id, let target, let helpers, let timeout):
                let deadline = time + timeout.nanoseconds
                for helper in helpers {
                    send(from: index, to: helper, .request(id, target), deadline: deadline, time)
                }
            case .gossip(let peer): send(from: index, to: peer, .gossip, deadline: .max, time)
            case .sync(let peer):
                let versions = machines[index].versions()
                send(from: index, to: peer, .compare(versions), deadline: .max, time)
            case .restate(let incarnation): restate(index, incarnation)
            case .accuse(let peer, let incarnation, let kind):
                // Nobody here checks the signature; without one it would be a hint.
                machines[index].publish(
                    Accusation(
                        peer: peer, incarnation: incarnation, kind: kind,
                        accuser: machines[index].localPeer,
                        statedMilliseconds: UInt64(time / 1_000_000), signature: [1]))
            case .note(let peer, let from, let to): note(index, peer, from, to, time)
            }
        }
        arm(index)
    }

    private mutating func restate(_ index: Int, _ incarnation: UInt64) {
        guard incarnation > machines[index].own.incarnation else { return }
        machines[index].state(
            .sign(
                machines[index].own.info, incarnation: incarnation, key: keys[index],
                network: NetworkID(.zero)))
    }

    private mutating func note(
        _ index: Int, _ peer: PeerID, _ from: MemberState?, _ to: MemberState, _ time: Int64
    ) {
        guard let subject = indices[peer] else { return }
        if subject == victim, isDead {
            guard to == .dead, !isSlow[index] else { return }
            let seconds = Double(time - DetectionExperiment.crash) / 1e9
            if knowing.isEmpty { outcome.firstDetections.append(seconds) }
            let knewAll = isKnownToAll
            knowing.insert(index)
            if isKnownToAll, !knewAll { outcome.disseminations.append(seconds) }
        } else if !isSlow[subject] {
            if to == .suspect { outcome.suspicions += 1 }
            guard to == .dead else { return }
            outcome.falseDeaths += 1
            if !isSlow[index] { outcome.falseDeathsAtHealthy += 1 }
        }
    }

    private var isKnownToAll: Bool { knowing.count == experiment.peers - experiment.slow - 1 }

    // MARK: Messages

    private mutating func send(
        from index: Int, to peer: PeerID, _ purpose: Mail.Purpose, deadline: Int64, _ time: Int64
    ) {
        guard let target = indices[peer] else { return }
        var content = machines[index].takeGossip(for: peer)
        if case .gossip = purpose, content.statements.isEmpty, content.accusations.isEmpty {
            return
        }
        if case .compare = purpose { content.statements.append(machines[index].own) }
        post(Mail(index, target, purpose, deadline: deadline, content), time)
    }

    private mutating func post(_ letter: Mail, _ time: Int64) {
        if time >= DetectionExperiment.start {
            outcome.messages += 1
            outcome.bytes += letter.byteCount
        }
        let leaves = blockEnd(letter.from, time) ?? time
        let travel = network.oneWay(letter.from, letter.to, &generator)
        heap.schedule(
            at: leaves + travel, kind: Kind.delivery.rawValue, subject: mail.put(letter))
    }

    private mutating func deliver(_ slot: Int, _ time: Int64) {
        let to = mail[slot].to
        if let end = blockEnd(to, time) {
            heap.schedule(at: end, kind: Kind.delivery.rawValue, subject: slot)
            return
        }
        let letter = mail.take(slot)
        guard !isGone(to) else { return }
        // Who called has given up and dropped the answer.
        if letter.purpose.isAnswer, time > letter.deadline { return }
        let now = Instant(nanoseconds: time)
        let sender = machines[letter.from].localPeer
        switch letter.purpose {
        case .probe(let id):
            absorb(letter, now)
            send(from: to, to: sender, .answer(id), deadline: letter.deadline, time)
        case .answer(let id):
            machines[to].handleProbeAnswer(id: id, now: now)
            absorb(letter, now)
        case .request(let id, let target):
            absorb(letter, now)
            let relay = Relay(
                helper: to, asker: letter.from, probe: id, askerDeadline: letter.deadline)
            help(relay, target, time)
        case .relayed(let relay):
            absorb(letter, now)
            send(from: to, to: sender, .relayedAnswer(relay), deadline: letter.deadline, time)
        case .relayedAnswer(let relay):
            absorb(letter, now)
            finish(relay, reached: true, time)
        case .response(let id, let reached):
            if reached {
                machines[to].handleProbeAnswer(id: id, now: now)
            } else {
                machines[to].handleHelperMiss(id: id)
            }
            absorb(letter, now)
        case .gossip: absorb(letter, now)
        case .compare(let versions):
            absorb(letter, now)
            let (news, wanted) = machines[to].compare(versions, of: sender, now: now)
            pump(to, time)
            var content = machines[to].takeGossip(for: sender)
            content.statements += news.statements
            content.accusations += news.accusations
            post(Mail(to, letter.from, .compared(wanted), deadline: .max, content), time)
        case .compared(let wanted):
            machines[to].handleSync(letter.content, from: sender, now: now)
            var content = GossipContent()
            content.statements = wanted.compactMap { machines[to].statement(of: $0) }
            guard !content.statements.isEmpty else { break }
            post(Mail(to, letter.from, .gossip, deadline: .max, content), time)
        }
        pump(to, time)
    }

    private mutating func absorb(_ letter: Mail, _ now: Instant) {
        for statement in letter.content.statements {
            machines[letter.to].handle(statement, now: now)
        }
        for accusation in letter.content.accusations {
            machines[letter.to].handle(accusation, now: now)
        }
    }

    // MARK: Helping

    /// A helper answers within four fifths of the asker's time, so that its "no" arrives too.
    private mutating func help(_ relay: Relay, _ target: PeerID, _ time: Int64) {
        relays.append(relay)
        let number = relays.count - 1
        guard machines[relay.helper].isReachable(target), relay.askerDeadline > time else {
            finish(number, reached: false, time)
            return
        }
        let deadline = time + (relay.askerDeadline - time) * 4 / 5
        send(from: relay.helper, to: target, .relayed(number), deadline: deadline, time)
        heap.schedule(at: deadline, kind: Kind.relayTimeout.rawValue, subject: number)
    }

    private mutating func finish(_ number: Int, reached: Bool, _ time: Int64) {
        let relay = relays[number]
        guard !relay.isOver, !isGone(relay.helper) else { return }
        relays[number].isOver = true
        send(
            from: relay.helper, to: machines[relay.asker].localPeer,
            .response(relay.probe, reached: reached), deadline: relay.askerDeadline, time)
    }
}
