import CyxCore
import CyxCrypto
import CyxOverlay
import CyxTables
import CyxTransport
import SimulationHarness
import Synchronization

/// One peer of a world of tables: the table service that programs run, on messaging that skips the
/// transport.
final class TablePeer: Sendable {
    private struct State {
        var service: TableService?
        /// How often its disk was replaced; each time it has another store ID (A5).
        var wipes = 0
        var isDraining = false
        var isGone = false
    }

    let machine: SimulatedPeer
    let id: PeerID
    /// Whether it offers to keep rows; otherwise it is a client's gateway alone.
    let isStoring: Bool
    private let key: SigningKey
    private let state = Mutex(State())

    init(machine: SimulatedPeer, isStoring: Bool = true) {
        self.machine = machine
        self.isStoring = isStoring
        key = SigningKey(
            seed: BLAKE3.deriveKey(
                context: "cyxcloud simulated tables", [UInt8(machine.index)], count: 32))
        id = key.verifyingKey.peerID
    }

    /// The tables of the present life; nil while it does not run.
    var tables: TableService? { machine.isRunning ? state.withLock { $0.service } : nil }

    var store: StoreID {
        StoreID(BLAKE3.hash([UInt8(machine.index), UInt8(state.withLock { $0.wipes })]))
    }

    func isSigner(_ signature: ViewSignature) -> Bool {
        signature.key == key.verifyingKey.bytes
    }

    var isGone: Bool { state.withLock { $0.isGone } }

    /// Whether it offers to keep rows from now on.
    var isStaying: Bool { isStoring && state.withLock { !$0.isDraining && !$0.isGone } }

    var info: MemberInfo {
        MemberInfo(
            contact: PeerContact(peer: id, address: machine.address),
            roles: isStoring ? [.storage] : [.gateway], zone: "",
            store: isStoring ? store : nil, allocatedBytes: 1 << 30, freeBytes: 1 << 30,
            isDraining: state.withLock { $0.isDraining })
    }

    func boot(_ world: TableWorld, isFounder: Bool) {
        machine.start { [unowned self, unowned world] machine in
            state.withLock { $0.service = nil }
            var configuration = world.configuration
            configuration.isFounder = isFounder
            let messaging = DirectMessaging(world: world.world, peer: machine, id: id)
            for peer in world.peers {
                messaging.learn(PeerContact(peer: peer.id, address: peer.machine.address))
            }
            world.direct.introduce(id, at: machine)
            let tables = try await TableService(
                environment: machine.environment, key: key, storeID: store, messaging: messaging,
                membership: DirectedMembership(
                    localPeer: id, directory: world.directory,
                    executor: machine.environment.executor),
                configuration: configuration)
            state.withLock { $0.service = tables }
            world.direct.join(messaging)
            try await tables.run()
        }
    }

    func crash() {
        state.withLock { $0.service = nil }
        machine.crash()
    }

    /// The next life finds an empty disk.
    func wipe() {
        machine.disk.wipe()
        state.withLock { $0.wipes += 1 }
    }

    /// Gives its seats away from now on, in later lives, too.
    func drain() { state.withLock { $0.isDraining = true } }

    /// Ends for good.
    func leave() {
        state.withLock { $0.isGone = true }
        crash()
    }
}
