internal import CyxCore
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport
internal import Synchronization

/// Peers of one process that call each other's handlers directly: the object layer's own cost,
/// without transport and metadata.
final class LoopbackNetwork: Sendable {
    typealias Handler =
        @Sendable (_ remote: PeerContact, _ request: [UInt8]) async throws -> [UInt8]

    fileprivate struct Slot: Hashable {
        var peer: PeerID
        var method: RPCMethod
    }

    fileprivate let handlers = Mutex<[Slot: Handler]>([:])
    fileprivate let members = Mutex<[PeerID: Member]>([:])

    func add(_ member: Member) { members.withLock { $0[member.peer] = member } }
}

/// One peer's way to the others.
final class LoopbackMessaging: PeerMessaging {
    let localPeer: PeerID
    private let network: LoopbackNetwork
    private let contact: PeerContact

    init(_ peer: PeerID, _ network: LoopbackNetwork) {
        localPeer = peer
        self.network = network
        contact = PeerContact(peer: peer, address: SocketAddress(ip: 0, port: 0))
    }

    func handle(_ method: RPCMethod, with handler: @escaping LoopbackNetwork.Handler) {
        network.handlers.withLock { $0[.init(peer: localPeer, method: method)] = handler }
    }

    func learn(_ contact: PeerContact) {}

    func identify(
        _ address: SocketAddress, timeout: Duration
    ) async throws(RPCError) -> PeerContact { throw .unreachable }

    func call(
        _ peer: PeerID, _ method: RPCMethod, _ request: [UInt8], timeout: Duration
    ) async throws(RPCError) -> [UInt8] {
        let slot = LoopbackNetwork.Slot(peer: peer, method: method)
        guard let handler = network.handlers.withLock({ $0[slot] }) else { throw .unreachable }
        do {
            return try await handler(contact, request)
        } catch let failure as RPCFailure {
            throw .refused(failure)
        } catch { throw .connectionLost }
    }
}

/// Everybody is alive.
final class LoopbackMembership: Membership {
    private let peer: PeerID
    private let network: LoopbackNetwork

    init(_ peer: PeerID, _ network: LoopbackNetwork) {
        self.peer = peer
        self.network = network
    }

    var snapshot: MembershipSnapshot {
        MembershipSnapshot(localPeer: peer, members: network.members.withLock { $0 })
    }

    func observe(_ observer: @escaping @Sendable (MembershipSnapshot) -> Void) {}
    func announce(_ change: @escaping @Sendable (inout MemberInfo) -> Void) {}
}

/// Tables in memory.
final class LoopbackTables: Tables {
    private struct State {
        var registers: [RowKey: RegisterState] = [:]
        var merges: [RowKey: [[UInt8]: [UInt8]]] = [:]
    }

    private let state = Mutex(State())

    func read(_ key: RowKey) async throws(TableError) -> RegisterState {
        state.withLock { $0.registers[key] ?? RegisterState(value: nil, version: .none) }
    }

    func decide(
        _ key: RowKey, _ change: @escaping @Sendable (RegisterState) -> RegisterChange
    ) async throws(TableError) -> DecidedChange {
        state.withLock { state in
            var current = state.registers[key] ?? RegisterState(value: nil, version: .none)
            switch change(current) {
            case .abandon, .reaccept: return DecidedChange(state: current, call: 0)
            case .delete: current.value = nil
            case .set(let bytes): current.value = bytes
            }
            current.version.counter += 1
            state.registers[key] = current
            return DecidedChange(state: current, call: 0)
        }
    }

    func readMerge(_ key: RowKey) async throws(TableError) -> [MergeElement] {
        state.withLock { state in
            (state.merges[key] ?? [:]).map { MergeElement(element: $0.key, value: $0.value) }
        }
    }

    func merge(_ key: RowKey, _ elements: [MergeElement]) async throws(TableError) {
        state.withLock { state in
            for element in elements {
                state.merges[key, default: [:]][element.element] = element.value
            }
        }
    }

    func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] { [] }

    func changes(
        _ table: TableID, position: Digest, since cursor: ScanCursor?
    ) async throws(TableError) -> ChangePage {
        var cursor = cursor ?? ScanCursor()
        cursor.walk = nil
        return ChangePage(rows: [], stretch: nil, cursor: cursor, isComplete: true)
    }

    func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey] { [] }

    func custodians(of position: Digest) async throws(TableError) -> [PeerID] { [] }

    func custody() async -> UInt64 { 0 }

    func health() async -> TablesHealth {
        TablesHealth(partitions: 1, fullPartitions: 1, unavailablePartitions: 0, survives: 0)
    }
}
