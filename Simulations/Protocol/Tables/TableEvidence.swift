import CyxCore
import CyxOverlay
import CyxTables
import SimulationHarness

/// Looks at the disks of a world of tables and holds them against the invariants of
/// `decisions.md` §C, each under its name there.
struct TableEvidence {
    /// A change that its client was told of.
    struct Acknowledgment {
        var key: Int
        var version: RegisterVersion
        /// Epochs below this one were over for good when the call began.
        var servedAtCall: UInt32
    }

    private struct Vote: Hashable {
        var peer: PeerID
        var store: StoreID
        var epoch: UInt32
    }

    private(set) var violations: [String] = []
    /// How often each invariant was held against something.
    private(set) var checks: [String: Int] = [:]
    /// The newest epoch that some member holds completely.
    private(set) var servedEpoch: UInt32 = 0
    /// The newest epoch that a certificate tells of, and its view.
    private(set) var newest: View?

    private var views: [UInt32: View] = [:]
    private var seenReplicas: [PeerID: [UInt8]] = [:]
    private var replicas: [PeerID: Replica] = [:]
    private var votes: [Vote: ViewVote] = [:]
    private var syncedOnce: Set<Vote> = []
    private var acknowledged: [Acknowledgment] = []
    /// How many of them were there when an epoch was first served.
    private var acknowledgedBefore: [UInt32: Int] = [:]

    var epochs: Int { views.count }

    private mutating func count(_ invariant: String) { checks[invariant, default: 0] += 1 }

    mutating func violate(_ invariant: String, _ what: String) {
        violations.append("\(invariant): \(what)")
    }

    // MARK: Views

    /// Takes in what the disks say now.
    mutating func look(at world: TableWorld) {
        for peer in world.peers {
            let stored = peer.machine.disk.entries(in: "tables", StorageKey.replicas)
            guard let bytes = stored.first?.value else {
                seenReplicas[peer.id] = nil
                replicas[peer.id] = nil
                continue
            }
            guard seenReplicas[peer.id] != bytes else { continue }
            seenReplicas[peer.id] = bytes
            do {
                let replica = try Replica(bytes: bytes)
                replicas[peer.id] = replica
                note(replica, of: peer, in: world)
            } catch {
                violate("ViewChain", "\(peer.machine.name) stored a view that cannot be read")
            }
        }
    }

    private mutating func note(_ replica: Replica, of peer: TablePeer, in world: TableWorld) {
        for certificate in [replica.certificate, replica.successor].compactMap({ $0 }) {
            note(certificate, in: world)
        }
        let vote = Vote(peer: peer.id, store: peer.store, epoch: replica.view.id.epoch)
        if let before = votes[vote] {
            count("NoAmnesia")
            if replica.vote.round < before.round || before.isSealed && !replica.vote.isSealed {
                violate("NoAmnesia", "\(peer.machine.name) forgot a vote of epoch \(vote.epoch)")
            }
        }
        votes[vote] = replica.vote
        guard replica.isSynced, syncedOnce.insert(vote).inserted else { return }
        if replica.certificate.previous != nil { checkSync(vote, peer) }
        servedEpoch = max(servedEpoch, vote.epoch)
    }

    private mutating func note(_ certificate: ViewCertificate, in world: TableWorld) {
        let view = certificate.view
        let epoch = view.id.epoch
        if let known = views[epoch] {
            count("ViewChain")
            if known != view { violate("ViewChain", "epoch \(epoch) has two views") }
            return
        }
        views[epoch] = view
        if epoch > newest?.id.epoch ?? 0 || newest == nil { newest = view }
        if let previous = certificate.previous, let known = views[epoch - 1] {
            count("ViewChain")
            if known != previous {
                violate("ViewChain", "epoch \(epoch) follows another view than that before")
            }
        }
        checkSigners(certificate, in: world)
    }

    /// What a member signed it must find again after a crash: its disk says that it is sealed.
    private mutating func checkSigners(_ certificate: ViewCertificate, in world: TableWorld) {
        guard let previous = certificate.previous else { return }
        for signature in certificate.signatures {
            guard let signer = world.peers.first(where: { $0.isSigner(signature) }),
                previous.contains(ViewMember(peer: signer.id, store: signer.store)),
                let bytes = signer.machine.disk.entries(in: "tables", StorageKey.replicas).first
            else { continue }
            do {
                let replica = try Replica(bytes: bytes.value)
                guard replica.view == previous else { continue }
                count("NoAmnesia")
                if !replica.vote.isSealed, replica.successor == nil {
                    violate(
                        "NoAmnesia",
                        "\(signer.machine.name) precommitted epoch \(certificate.view.id.epoch) "
                            + "and its disk does not know")
                }
            } catch {
                violate("ViewChain", "\(signer.machine.name) stored a view that cannot be read")
            }
        }
    }

    /// Who has members of the newest view seal themselves just now, and how many have.
    func sealing(in world: TableWorld) -> (proposer: TablePeer, sealed: Int, view: View)? {
        guard let view = newest else { return nil }
        let locks = replicas.values.compactMap { replica in
            replica.view == view && replica.successor == nil ? replica.vote.lock : nil
        }
        guard let round = locks.map(\.round).max() else { return nil }
        let proposer = view.members[ViewVote.proposer(of: round, in: view)].peer
        guard let peer = world.peers.first(where: { $0.id == proposer }) else { return nil }
        return (peer, locks.count { $0.round == round }, view)
    }

    // MARK: Rows

    /// Whoever holds a view completely has all that was acknowledged before anyone served it.
    private mutating func checkSync(_ vote: Vote, _ peer: TablePeer) {
        let known = acknowledgedBefore[vote.epoch] ?? acknowledged.count
        acknowledgedBefore[vote.epoch] = known
        for entry in acknowledged.prefix(known) where entry.version.epoch < vote.epoch {
            count("SyncComplete")
            if !holds(peer, entry) {
                violate(
                    "SyncComplete",
                    "\(peer.machine.name) serves epoch \(vote.epoch) without a change of row "
                        + "\(entry.key) from epoch \(entry.version.epoch)")
            }
        }
    }

    /// Whether a peer has a change or what came after it, or forgot what came after it: of a row that
    /// is not there its floor speaks.
    private func holds(_ peer: TablePeer, _ entry: Acknowledgment) -> Bool {
        if let record = record(peer, entry.key), record.accepted != .none {
            return record.accepted >= entry.version
        }
        return replicas[peer.id].map { $0.floor >= entry.version } ?? false
    }

    private func record(_ peer: TablePeer, _ key: Int) -> RegisterRecord? {
        let key = StorageKey.row(TableWorld.key(TableWorld.registers, key))
        guard let bytes = peer.machine.disk.value(of: key, in: "tables") else { return nil }
        do {
            guard
                case .register(let record) = try StoredRow(
                    table: TableWorld.registers, bytes: bytes
                ).content
            else { return nil }
            return record
        } catch {
            return nil
        }
    }

    /// A client was told that its change is in effect.
    mutating func acknowledge(_ entry: Acknowledgment, in world: TableWorld) {
        look(at: world)
        acknowledged.append(entry)
        let epoch = entry.version.epoch
        guard epoch > 0, let view = views[epoch] else { return }
        if newest?.id.epoch == epoch {
            count("AckedDurable")
            let holding = view.members.count { member in
                guard let peer = world.peers.first(where: { $0.id == member.peer }) else {
                    return false
                }
                // A store that was lost since may have held it.
                return peer.isGone || peer.store != member.store || holds(peer, entry)
            }
            if holding < view.quorum {
                violate(
                    "AckedDurable",
                    "a change of row \(entry.key) was acknowledged with \(holding) of "
                        + "\(view.quorum) copies on disk")
            }
        }
        guard epoch < entry.servedAtCall else { return }
        count("SealFinal")
        // It may have been carried over and accepted anew.
        let renewed = world.peers.count { peer in
            guard holds(peer, entry) else { return false }
            return record(peer, entry.key).map { $0.accepted.epoch > epoch } ?? true
        }
        if renewed < (newest?.quorum ?? 0) {
            violate(
                "SealFinal",
                "a change of row \(entry.key), begun when epoch \(entry.servedAtCall) was "
                    + "served, was acknowledged in epoch \(epoch)")
        }
    }

    /// Stamps of rows are never more than what a clock may be ahead (A7).
    mutating func checkClocks(_ world: TableWorld, now: WallTime, tolerance: Int64) {
        for peer in world.peers {
            for (key, value) in peer.machine.disk.entries(in: "tables", StorageKey.allRows) {
                guard let row = StorageKey.decodeRow(key), row.table == TableWorld.merges else {
                    continue
                }
                do {
                    guard
                        case .merge(let row) = try StoredRow(table: row.table, bytes: value).content
                    else { continue }
                    count("ClockBound")
                    for entry in row.items.map(\.entry)
                    where entry.stamp.milliseconds
                        > now.milliseconds + HybridClock.aheadLimit + tolerance
                    {
                        violate(
                            "ClockBound",
                            "\(peer.machine.name) keeps a stamp "
                                + "\(entry.stamp.milliseconds - now.milliseconds) ms ahead")
                    }
                } catch {
                    violate("ClockBound", "\(peer.machine.name) keeps a row that cannot be read")
                }
            }
        }
    }

    // MARK: The end

    /// Where each peer that is left stands, for whoever looks into a violation.
    func standings(_ world: TableWorld) -> String {
        world.peers.filter { !$0.isGone }.map { peer in
            guard let replica = replicas[peer.id] else {
                return "\(peer.machine.name) holds nothing"
            }
            let state =
                (replica.isSynced ? "synced" : "not synced")
                + (replica.vote.isSealed ? ", sealed" : "")
                + (replica.frozen.map { ", froze \($0.view.epoch)\($0.isSource ? "" : " in part")" }
                    ?? "")
                + (replica.successor.map { ", knows \($0.view.id.epoch)" } ?? "")
            let names = replica.view.members.map { member in
                world.peers.first { $0.id == member.peer }.map { peer in
                    "\(peer.machine.index)\(peer.store == member.store ? "" : "'")"
                } ?? "?"
            }
            return
                "\(peer.machine.name) \(replica.view.id.epoch) {\(names.joined(separator: " "))} \(state)"
        }.joined(separator: "; ")
    }

    /// Whether nobody needs anything from a peer any more, as its disk says.
    func isRelieved(_ peer: TablePeer) -> Bool { replicas[peer.id] == nil }

    /// Whether every member of the newest view that still can be there holds it, as must all where
    /// others could take the seats of those who cannot.
    func hasConverged(_ world: TableWorld) -> Bool {
        guard let view = newest else { return false }
        let hasLeft = { (peer: TablePeer) in
            peer.isGone || world.directory.state(of: peer.id) == .left
        }
        let canReplace = world.peers.contains {
            $0.isStaying && !hasLeft($0) && !view.contains($0.id)
        }
        return view.members.allSatisfy { member in
            guard let peer = world.peers.first(where: { $0.id == member.peer }) else {
                return false
            }
            let isSame =
                peer.store == member.store
                || world.configuration.brokenRules.contains(.tellsStoresApart)
            if hasLeft(peer), !canReplace { return true }
            return !peer.isGone && isSame && replicas[peer.id]?.view == view
                && replicas[peer.id]?.isServing == true
        }
    }
}
