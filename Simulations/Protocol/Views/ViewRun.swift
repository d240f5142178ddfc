import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport

/// Membership machines of one region of a network, idle but for members that say something new of
/// themselves now and then, or coming and going. Everybody in the region runs; it is a prefix of the key space, so that
/// all of them have their neighbours in it. The rest of the network is there by its IDs, in samples;
/// what is sent to one of those goes to somebody of the region instead, who is as likely to be sent
/// something as anybody.
struct ViewRun {
    enum Kind: UInt8 {
        case timer, delivery, restate, crash, returning
    }

    struct Traffic: Equatable {
        var messages = 0
        var bytes = 0
        var memberSeconds = 0.0
    }

    /// What a member says changes so often, on average: its free space or its address.
    static let restatement = Duration.seconds(3600)
    private static let warmUp = Duration.seconds(20)
    /// Where nobody comes and goes.
    static let never = Duration.seconds(0)

    var machines: [MembershipMachine] = []
    var keys: [SigningKey]
    var indices: [PeerID: Int] = [:]
    var heap = ProtocolHeap()
    var mail = MailRoom()
    var armed: [Int64]
    let network: NetworkModel
    var generator: SeededGenerator
    var traffic = Traffic()
    var isCounting = false
    /// How long members stay, on average.
    var stay = ViewRun.never
    /// Members that are off.
    var isOff: [Bool]
    /// Those that went: by whom each is watched, and when it went.
    var departures: [Int: (at: Int64, watchers: Set<Int>)] = [:]
    var detection = Detection()

    /// `peers` members. All of them run while everybody knows everybody, else those of a prefix that
    /// is as long as leaves `running` or more.
    init(peers: Int, running: Int, limits: ViewLimits, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let all = ViewRun.makeKeys(peers, &generator)
        let isPartial = peers > limits.full
        var bits = 0
        while isPartial, peers >> (bits + 1) >= running { bits += 1 }
        // In order, since machines keep their members so.
        let region = all.filter { $0.verifyingKey.peerID.digest.prefix(bits: bits) == 0 }
            .sorted { $0.verifyingKey.peerID < $1.verifyingKey.peerID }
        keys = region
        network = NetworkModel(.planetLab, peers: region.count, generator: &generator)
        armed = [Int64](repeating: .max, count: region.count)
        isOff = [Bool](repeating: false, count: region.count)
        self.generator = generator
        let others = isPartial ? all.shuffled(using: &self.generator) : region
        let known =
            region.map { ViewRun.statement($0) }
            + others.prefix(isPartial ? limits.sample * 2 : 0).filter {
                $0.verifyingKey.peerID.digest.prefix(bits: bits) != 0
            }.map { ViewRun.statement($0) }
        for (index, key) in region.enumerated() {
            indices[key.verifyingKey.peerID] = index
            machines.append(
                ViewRun.machine(
                    knowing: known, own: index, isPartial: isPartial, limits: limits,
                    seed: self.generator.next()))
        }
    }

    static func makeKeys(_ count: Int, _ generator: inout SeededGenerator) -> [SigningKey] {
        (0..<count).map { _ in
            let seed = (0..<SigningKey.seedSize).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            return SigningKey(seed: seed)
        }
    }

    static func statement(_ key: SigningKey) -> MemberStatement {
        let peer = key.verifyingKey.peerID
        let network = peer.digest.prefix(bits: 24)
        let address = SocketAddress(
            ipv4: (
                20, UInt8(network >> 16), UInt8(network >> 8 & 255), UInt8(network & 255)
            ), port: 7700)
        let info = MemberInfo(
            contact: PeerContact(peer: peer, address: address), roles: .storage, zone: "zone",
            store: StoreID(peer.digest), allocatedBytes: 1 << 40, freeBytes: 1 << 39)
        return .sign(info, incarnation: 1000, key: key, network: NetworkID(.zero))
    }

    /// The machine of `known[own]`, which has heard of all the others.
    static func machine(
        knowing known: [MemberStatement], own: Int, isPartial: Bool, limits: ViewLimits,
        seed: UInt64
    ) -> MembershipMachine {
        let now = Instant(nanoseconds: 0)
        var machine = MembershipMachine(
            own: known[own], timings: .production, limits: limits, seed: seed, now: now)
        if isPartial { machine.becomePartial() }
        for (index, other) in known.enumerated() where index != own {
            machine.handle(other, now: now)
            // It has been heard from, so that it is shown to others from the first.
            machine.handleSync(GossipContent(), from: other.peer, now: now)
            // This is no news to anybody; a queue of thousands would be most of the run's time.
            machine.dropGossip()
        }
        _ = machine.takeActions()
        return machine
    }

    // MARK: Running

    /// What all of them send within `duration`, after some time to get into their stride. With a
    /// `stay` that is not `never` they go for good after so long on average, all of a sudden, and
    /// others come in their places.
    mutating func run(for duration: Duration, stay: Duration = never) -> Traffic {
        self.stay = stay
        for index in machines.indices {
            arm(index)
            scheduleRestatement(index, 0)
            scheduleCrash(index, 0)
        }
        let start = ViewRun.warmUp.nanoseconds
        let end = start + duration.nanoseconds
        while let event = heap.next(), event.time < end {
            isCounting = event.time >= start
            guard let kind = Kind(rawValue: event.kind) else { continue }
            let (subject, time) = (Int(event.subject), event.time)
            switch kind {
            case .timer: timer(subject, time)
            case .delivery: deliver(subject, time)
            case .restate:
                restate(subject, machines[subject].own.incarnation + 1)
                pump(subject, time)
                scheduleRestatement(subject, time)
            case .crash: crash(subject, time)
            case .returning: comeBack(subject, time)
            }
        }
        close(at: end)
        traffic.memberSeconds = duration.inSeconds * Double(machines.count)
        return traffic
    }

    mutating func scheduleRestatement(_ index: Int, _ time: Int64) {
        let delay = Int64.random(
            in: 0...ViewRun.restatement.nanoseconds * 2, using: &generator)
        heap.schedule(at: time + delay, kind: Kind.restate.rawValue, subject: index)
    }

    mutating func timer(_ index: Int, _ time: Int64) {
        guard armed[index] == time, !isOff[index] else { return }
        armed[index] = .max
        machines[index].handleTimeout(now: Instant(nanoseconds: time))
        pump(index, time)
    }

    mutating func arm(_ index: Int) {
        let due = machines[index].nextTimeout.nanoseconds
        guard due < armed[index] else { return }
        armed[index] = due
        heap.schedule(at: due, kind: Kind.timer.rawValue, subject: index)
    }

    /// Carries out what a machine wants, as the overlay's shell would.
    mutating func pump(_ index: Int, _ time: Int64) {
        for action in machines[index].takeActions() {
            switch action {
            case .probe(let id, let target, _): send(index, target, .probe(id), time)
            case .gossip(let peer): send(index, peer, .gossip, time)
            case .sync(let peer): send(index, peer, .compare(machines[index].versions()), time)
            case .restate(let incarnation): restate(index, incarnation)
            case .probeThrough(let id, let target, let helpers, let timeout):
                for helper in helpers {
                    let deadline = time + timeout.nanoseconds
                    send(index, helper, .request(id, target), deadline: deadline, time)
                }
            case .accuse(let peer, let incarnation, let kind):
                // Nobody here checks the signature; without one it would be a hint.
                machines[index].publish(
                    Accusation(
                        peer: peer, incarnation: incarnation, kind: kind,
                        accuser: machines[index].localPeer,
                        statedMilliseconds: UInt64(time / 1_000_000),
                        signature: [UInt8](repeating: 1, count: 64)))
            case .note(let peer, _, let state): note(index, peer, state, time)
            }
        }
        arm(index)
    }

    mutating func restate(_ index: Int, _ incarnation: UInt64) {
        guard incarnation > machines[index].own.incarnation else { return }
        machines[index].state(
            .sign(
                machines[index].own.info, incarnation: incarnation, key: keys[index],
                network: NetworkID(.zero)))
    }

    mutating func send(
        _ from: Int, _ to: PeerID, _ purpose: Mail.Purpose, deadline: Int64 = .max, _ time: Int64
    ) {
        let content = machines[from].takeGossip(for: to)
        if case .gossip = purpose, content.isEmpty { return }
        post(Mail(from, receiver(of: to, from: from), purpose, deadline: deadline, content), time)
    }

    /// Who gets what is sent to `peer`.
    mutating func receiver(of peer: PeerID, from sender: Int) -> Int {
        if let index = indices[peer] { return index }
        let other = Int.random(in: 0..<machines.count - 1, using: &generator)
        return other < sender ? other : other + 1
    }

    mutating func post(_ letter: Mail, _ time: Int64) {
        if isCounting {
            traffic.messages += 1
            traffic.bytes += letter.byteCount
        }
        let arrival = time + network.oneWay(letter.from, letter.to, &generator)
        heap.schedule(at: arrival, kind: Kind.delivery.rawValue, subject: mail.put(letter))
    }

    mutating func deliver(_ slot: Int, _ time: Int64) {
        let letter = mail.take(slot)
        let (now, to) = (Instant(nanoseconds: time), letter.to)
        let sender = machines[letter.from].localPeer
        guard !isOff[to] else {
            if case .compare = letter.purpose, !isOff[letter.from] {
                machines[letter.from].handleSyncFailure(with: machines[to].localPeer)
                pump(letter.from, time)
            }
            return
        }
        if case .compared = letter.purpose {
            machines[to].handleSync(letter.content, from: sender, now: now)
        } else {
            for statement in letter.content.statements {
                machines[to].handle(statement, now: now)
            }
            for accusation in letter.content.accusations {
                machines[to].handle(accusation, now: now)
            }
        }
        switch letter.purpose {
        case .probe(let id):
            let content = machines[to].takeGossip(for: sender)
            post(Mail(to, letter.from, .answer(id), deadline: .max, content), time)
        case .answer(let id): machines[to].handleProbeAnswer(id: id, now: now)
        case .request(let id, let target):
            help(to, letter.from, id, target, deadline: letter.deadline, time)
        case .response(let id, let reached):
            if reached {
                machines[to].handleProbeAnswer(id: id, now: now)
            } else {
                machines[to].handleHelperMiss(id: id)
            }
        case .compare(let versions):
            let isPartial = machines[letter.from].isPartial
            var (content, wanted) = machines[to].compare(
                versions, of: sender, isPartial: isPartial, now: now)
            let fresh = machines[to].takeGossip(for: sender)
            content.statements += fresh.statements
            content.accusations += fresh.accusations
            post(Mail(to, letter.from, .compared(wanted), deadline: .max, content), time)
        case .compared(let wanted):
            var content = GossipContent()
            content.statements = wanted.compactMap { machines[to].statement(of: $0) }
            if !content.isEmpty {
                post(Mail(to, letter.from, .gossip, deadline: .max, content), time)
            }
        default: break
        }
        pump(to, time)
    }
}
