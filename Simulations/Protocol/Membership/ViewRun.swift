import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTransport

/// Membership machines of one region of a network, idle but for members that say something new of
/// themselves now and then. Everybody in the region runs; it is a prefix of the key space, so that
/// all of them have their neighbours in it. The rest of the network is there by its IDs, in samples;
/// what is sent to one of those goes to somebody of the region instead, who is as likely to be sent
/// something as anybody.
struct ViewRun {
    private enum Kind: UInt8 {
        case timer, delivery, restate
    }

    struct Traffic: Equatable {
        var messages = 0
        var bytes = 0
        var memberSeconds = 0.0
    }

    /// What a member says changes so often, on average: its free space or its address.
    static let restatement = Duration.seconds(3600)
    private static let warmUp = Duration.seconds(60)

    private(set) var machines: [MembershipMachine] = []
    private var keys: [SigningKey]
    private var indices: [PeerID: Int] = [:]
    private var heap = ProtocolHeap()
    private var mail = MailRoom()
    private var armed: [Int64]
    private let network: NetworkModel
    private var generator: SeededGenerator
    private var traffic = Traffic()
    private var isCounting = false

    /// `peers` members. All of them run while everybody knows everybody, else those of a prefix that
    /// is as long as leaves `running` or more.
    init(peers: Int, running: Int, limits: ViewLimits, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let all = ViewRun.makeKeys(peers, &generator)
        let isPartial = peers > limits.full
        var bits = 0
        while isPartial, peers >> (bits + 1) >= running { bits += 1 }
        let region = all.filter { $0.verifyingKey.peerID.digest.prefix(bits: bits) == 0 }
        keys = region
        network = NetworkModel(.planetLab, peers: region.count, generator: &generator)
        armed = [Int64](repeating: .max, count: region.count)
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
        }
        _ = machine.takeActions()
        return machine
    }

    // MARK: Running

    /// What all of them send within `duration`, after the news of the beginning has died down.
    mutating func run(for duration: Duration) -> Traffic {
        for index in machines.indices {
            arm(index)
            scheduleRestatement(index, 0)
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
            }
        }
        traffic.memberSeconds = duration.inSeconds * Double(machines.count)
        return traffic
    }

    private mutating func scheduleRestatement(_ index: Int, _ time: Int64) {
        let delay = Int64.random(
            in: 0...ViewRun.restatement.nanoseconds * 2, using: &generator)
        heap.schedule(at: time + delay, kind: Kind.restate.rawValue, subject: index)
    }

    private mutating func timer(_ index: Int, _ time: Int64) {
        guard armed[index] == time else { return }
        armed[index] = .max
        machines[index].handleTimeout(now: Instant(nanoseconds: time))
        pump(index, time)
    }

    private mutating func arm(_ index: Int) {
        let due = machines[index].nextTimeout.nanoseconds
        guard due < armed[index] else { return }
        armed[index] = due
        heap.schedule(at: due, kind: Kind.timer.rawValue, subject: index)
    }

    /// Carries out what a machine wants, as the overlay's shell would. Nobody is silent here.
    private mutating func pump(_ index: Int, _ time: Int64) {
        for action in machines[index].takeActions() {
            switch action {
            case .probe(let id, let target, _): send(index, target, .probe(id), time)
            case .gossip(let peer): send(index, peer, .gossip, time)
            case .sync(let peer): send(index, peer, .compare(machines[index].versions()), time)
            case .restate(let incarnation): restate(index, incarnation)
            case .probeThrough, .accuse, .note: break
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

    private mutating func send(_ from: Int, _ to: PeerID, _ purpose: Mail.Purpose, _ time: Int64) {
        let content = machines[from].takeGossip(for: to)
        if case .gossip = purpose, content.isEmpty { return }
        post(Mail(from, receiver(of: to, from: from), purpose, deadline: .max, content), time)
    }

    /// Who gets what is sent to `peer`.
    private mutating func receiver(of peer: PeerID, from sender: Int) -> Int {
        if let index = indices[peer] { return index }
        let other = Int.random(in: 0..<machines.count - 1, using: &generator)
        return other < sender ? other : other + 1
    }

    private mutating func post(_ letter: Mail, _ time: Int64) {
        if isCounting {
            traffic.messages += 1
            traffic.bytes += letter.byteCount
        }
        let arrival = time + network.oneWay(letter.from, letter.to, &generator)
        heap.schedule(at: arrival, kind: Kind.delivery.rawValue, subject: mail.put(letter))
    }

    private mutating func deliver(_ slot: Int, _ time: Int64) {
        let letter = mail.take(slot)
        let (now, to) = (Instant(nanoseconds: time), letter.to)
        let sender = machines[letter.from].localPeer
        if case .compared = letter.purpose {
            machines[to].handleSync(letter.content, from: sender, now: now)
        } else {
            for statement in letter.content.statements {
                machines[to].handle(statement, now: now)
            }
        }
        switch letter.purpose {
        case .probe(let id):
            let content = machines[to].takeGossip(for: sender)
            post(Mail(to, letter.from, .answer(id), deadline: .max, content), time)
        case .answer(let id): machines[to].handleProbeAnswer(id: id, now: now)
        case .compare(let versions):
            let isPartial = machines[letter.from].isPartial
            var (content, wanted) = machines[to].compare(
                versions, of: sender, isPartial: isPartial, now: now)
            content.statements += machines[to].takeGossip(for: sender).statements
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
