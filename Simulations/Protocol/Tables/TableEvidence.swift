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
        /// Epochs below this one were over for good around the row when the call began.
        var servedAtCall: UInt32

        var position: Digest { TableWorld.key(TableWorld.registers, key).position }
    }

    struct Vote: Hashable {
        var peer: PeerID
        var store: StoreID
        var view: ViewID
    }

    private(set) var violations: [String] = []
    /// How often each invariant was held against something.
    private(set) var checks: [String: Int] = [:]
    /// Which partitions certificates tell of, and their newest views.
    private(set) var catalog = PartitionCatalog(genesisDepth: 0, depthMax: TableWorld.splitsMax)

    private(set) var views: [ViewID: View] = [:]
    /// What was decided to follow a view: of a split the view of the lower part.
    private var successors: [ViewID: View] = [:]
    private var seenReplicas: [PeerID: [[UInt8]]] = [:]
    private(set) var replicas: [PeerID: [Partition: Replica]] = [:]
    private var votes: [Vote: ViewVote] = [:]
    private var syncedOnce: Set<Vote> = []
    /// The newest epoch of each partition that some member holds completely.
    private var servedEpochs: [Partition: UInt32] = [:]
    var acknowledged: [Acknowledgment] = []
    /// How many of them were there when a view was first served.
    var acknowledgedBefore: [ViewID: Int] = [:]

    var epochs: Int { views.count }
    /// How often a partition has split.
    private(set) var splits = 0

    mutating func count(_ invariant: String) { checks[invariant, default: 0] += 1 }

    mutating func violate(_ invariant: String, _ what: String) {
        violations.append("\(invariant): \(what)")
    }

    // MARK: Partitions

    private static let whole = Partition(holding: .zero, depth: 0)

    /// The partitions that there are now.
    var partitions: [Partition] { catalog.parts(of: TableEvidence.whole) }

    /// The newest view of each of them, as far as a disk tells of one.
    var newest: [View] { partitions.compactMap { catalog[$0]?.view } }

    func newest(around position: Digest) -> View? {
        catalog[catalog.partition(holding: position)]?.view
    }

    /// The newest epoch around a row that some member holds completely.
    func servedEpoch(around row: Int) -> UInt32 {
        let position = TableWorld.key(TableWorld.registers, row).position
        return servedEpochs.filter { $0.key.contains(position) }.values.max() ?? 0
    }

    /// What a peer's disk has around a position.
    func replica(_ peer: PeerID, around position: Digest) -> Replica? {
        replicas[peer]?.first { $0.key.contains(position) }?.value
    }

    // MARK: Views

    /// Takes in what the disks say now.
    mutating func look(at world: TableWorld) {
        var changed: [TablePeer] = []
        for peer in world.peers {
            let stored = peer.machine.disk.entries(in: "tables", StorageKey.replicas).map(\.value)
            guard seenReplicas[peer.id] != stored else { continue }
            seenReplicas[peer.id] = stored
            replicas[peer.id] = [:]
            do {
                for replica in try stored.map({ try Replica(bytes: $0) }) {
                    if replicas[peer.id]?.keys.contains(where: replica.partition.overlaps) == true {
                        violate(
                            "ViewChain",
                            "\(peer.machine.name) holds partition \(replica.partition) twice")
                    }
                    replicas[peer.id]?[replica.partition] = replica
                }
                changed.append(peer)
            } catch {
                violate("ViewChain", "\(peer.machine.name) stored a view that cannot be read")
            }
        }
        // What one of them has is held against what the others have by now.
        for peer in changed {
            for replica in (replicas[peer.id] ?? [:]).values.sorted(by: {
                $0.partition < $1.partition
            }) {
                note(replica, of: peer, in: world)
            }
        }
    }

    private mutating func note(_ replica: Replica, of peer: TablePeer, in world: TableWorld) {
        for certificate in [replica.certificate, replica.successor].compactMap({ $0 }) {
            note(certificate, in: world)
            if let other = certificate.sibling { note(other, in: world) }
        }
        let vote = Vote(peer: peer.id, store: peer.store, view: replica.view.id)
        if let before = votes[vote] {
            count("NoAmnesia")
            if replica.vote.round < before.round || before.isSealed && !replica.vote.isSealed {
                violate(
                    "NoAmnesia", "\(peer.machine.name) forgot a vote of \(Self.name(vote.view))")
            }
        }
        votes[vote] = replica.vote
        guard replica.isSynced, syncedOnce.insert(vote).inserted else { return }
        if replica.certificate.previous != nil {
            checkSync(vote, peer, isSplit: replica.certificate.isSplit, in: world)
        }
        let partition = replica.view.partition
        servedEpochs[partition] = max(servedEpochs[partition] ?? 0, vote.view.epoch)
    }

    static func name(_ view: ViewID) -> String { "epoch \(view.epoch) of \(view.partition)" }

    private mutating func note(_ certificate: ViewCertificate, in world: TableWorld) {
        let view = certificate.view
        if let known = views[view.id] {
            count("ViewChain")
            if known != view { violate("ViewChain", "\(Self.name(view.id)) has two views") }
            return
        }
        views[view.id] = view
        _ = catalog.take(certificate)
        if let previous = certificate.previous {
            var decided = view
            if certificate.isSplit, let lower = previous.partition.children?.lower {
                if view.partition == lower { splits += 1 }
                decided.id.partition = lower
            }
            count("ViewChain")
            if let other = successors[previous.id], other != decided {
                violate("ViewChain", "\(Self.name(previous.id)) has two successors")
            }
            successors[previous.id] = decided
            if let known = views[previous.id], known != previous {
                violate(
                    "ViewChain",
                    "\(Self.name(view.id)) follows another view than that before")
            }
        }
        checkSigners(certificate, in: world)
    }

    /// What a member signed it must find again after a crash: its disk says that it is sealed.
    private mutating func checkSigners(_ certificate: ViewCertificate, in world: TableWorld) {
        guard let previous = certificate.previous else { return }
        for signature in certificate.signatures {
            guard let signer = world.peers.first(where: { $0.isSigner(signature) }),
                previous.contains(ViewMember(peer: signer.id, store: signer.store))
            else { continue }
            for entry in signer.machine.disk.entries(in: "tables", StorageKey.replicas) {
                do {
                    let replica = try Replica(bytes: entry.value)
                    guard replica.view == previous else { continue }
                    count("NoAmnesia")
                    if !replica.vote.isSealed, replica.successor == nil {
                        violate(
                            "NoAmnesia",
                            "\(signer.machine.name) precommitted what follows "
                                + "\(Self.name(previous.id)) and its disk does not know")
                    }
                } catch {
                    violate(
                        "ViewChain", "\(signer.machine.name) stored a view that cannot be read")
                }
            }
        }
    }

    // MARK: What is under way

    /// Who has members of a newest view seal themselves just now, and how many have.
    func sealing(in world: TableWorld) -> (proposer: TablePeer, sealed: Int, view: View)? {
        for view in newest {
            let locks = replicas.values.flatMap(\.values).compactMap { replica in
                replica.view == view && replica.successor == nil ? replica.vote.lock : nil
            }
            guard let round = locks.map(\.round).max() else { continue }
            let proposer = view.members[ViewVote.proposer(of: round, in: view)].peer
            guard let peer = world.peers.first(where: { $0.id == proposer }) else { continue }
            return (peer, locks.count { $0.round == round }, view)
        }
        return nil
    }

    /// One of the members of a view that has gone on to the views after its partition's split, or is
    /// about to, and all of them; nil: nothing splits, or all have.
    var splitting: (ahead: PeerID, members: [PeerID])? {
        for (peer, held) in replicas.sorted(by: { $0.key < $1.key }) {
            for replica in held.values.sorted(by: { $0.partition < $1.partition }) {
                if let next = replica.vote.lock?.successor,
                    next.partition != replica.view.partition
                {
                    return (peer, replica.view.peers)
                }
                guard let previous = replica.certificate.previous, replica.certificate.isSplit
                else { continue }
                let isBehind = previous.peers.contains { peer in
                    replicas[peer]?.values.contains { $0.view == previous } ?? false
                }
                if isBehind { return (peer, previous.peers) }
            }
        }
        return nil
    }

    // MARK: The end

    /// Where each peer that is left stands, for whoever looks into a violation.
    func standings(_ world: TableWorld) -> String {
        world.peers.filter { !$0.isGone }.map { peer in
            let held = (replicas[peer.id] ?? [:]).values.sorted { $0.partition < $1.partition }
            guard !held.isEmpty else { return "\(peer.machine.name) holds nothing" }
            return held.map { standing($0, of: peer, world) }.joined(separator: ", ")
        }.joined(separator: "; ")
    }

    private func standing(_ replica: Replica, of peer: TablePeer, _ world: TableWorld) -> String {
        let state =
            (replica.isSynced ? "synced" : "not synced")
            + (replica.isReshaped ? ", of \(replica.view.partition)" : "")
            + (replica.vote.isSealed ? ", sealed" : "")
            + (replica.frozen.map { ", froze \($0.view.epoch)\($0.isSource ? "" : " in part")" }
                ?? "")
            + (replica.successor.map { ", knows \($0.view.id.epoch)" } ?? "")
        let names = replica.view.members.map { member in
            world.peers.first { $0.id == member.peer }.map { peer in
                "\(peer.machine.index)\(peer.store == member.store ? "" : "'")"
            } ?? "?"
        }
        return "\(peer.machine.name) \(replica.partition)@\(replica.view.id.epoch) "
            + "{\(names.joined(separator: " "))} \(state)"
    }

    /// Whether nobody needs anything from a peer any more, as its disk says. Who has a seat in a newest
    /// view, and has stored nothing for it yet, is counted on all the same.
    func isRelieved(_ peer: TablePeer) -> Bool {
        (replicas[peer.id]?.isEmpty ?? true) && !newest.contains { $0.contains(peer.id) }
    }

    /// Whether every member of each newest view that still can be there holds it, as must all where
    /// others could take the seats of those who cannot.
    func hasConverged(_ world: TableWorld) -> Bool {
        let parts = partitions
        return parts.allSatisfy { catalog[$0].map { hasConverged($0.view, world) } ?? false }
    }

    private func hasConverged(_ view: View, _ world: TableWorld) -> Bool {
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
            let replica = replicas[peer.id]?[view.partition]
            return !peer.isGone && isSame && replica?.view == view && replica?.isServing == true
        }
    }

    /// Whether there are as many partitions as the number of peers calls for (A2). Not where somebody
    /// is missing whose seat nobody can take: no view of such a partition splits.
    func hasSplit(_ world: TableWorld) -> Bool {
        let storers = Double(world.storerCount)
        return newest.allSatisfy { view in
            let partitions = Double(UInt64(1) << UInt64(view.partition.depth))
            let isWhole = view.members.allSatisfy { member in
                world.peers.contains {
                    $0.id == member.peer && !$0.isGone && $0.store == member.store
                        && world.directory.state(of: $0.id) != .left
                }
            }
            return !isWhole || view.partition.depth >= TableWorld.splitsMax
                || partitions * Double(view.members.count)
                    >= world.configuration.splitRatio * storers
        }
    }
}
