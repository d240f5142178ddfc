internal import CyxCore
internal import CyxCrypto
internal import CyxTables
internal import CyxTransport

/// Gives this peer's shares to beacons whose custodian it is, and finds the beacon of a period.
struct BeaconKeeper: Sendable {
    let context: ObjectContext
    /// The peer's identity key.
    let signing: SigningKey

    /// What a custodian does in `period`: commits to the beacon two periods ahead, reveals its share
    /// of the next one.
    func contribute(in period: UInt64) async throws(TableError) {
        try await change(period + BeaconMachine.lead) { $0.commit(signing) }
        try await change(period + 1) { $0.reveal(signing) }
    }

    private func change(
        _ period: UInt64, _ change: @escaping @Sendable (inout BeaconMachine) -> Bool
    ) async throws(TableError) {
        let key = AuditRows.beacon(period)
        let custodians = try await context.tables.custodians(of: key.position)
        guard custodians.contains(context.messaging.localPeer) else { return }
        _ = try await update(key, period, change)
    }

    private func update(
        _ key: RowKey, _ period: UInt64,
        _ change: @escaping @Sendable (inout BeaconMachine) -> Bool
    ) async throws(TableError) -> BeaconMachine {
        let state = try await context.tables.update(key) { state in
            var machine = Self.machine(state.value, period)
            return change(&machine) ? .set(machine.row.protobufBytes()) : .abandon
        }
        return Self.machine(state.value, period)
    }

    private static func machine(_ value: [UInt8]?, _ period: UInt64) -> BeaconMachine {
        BeaconMachine(
            period: period, row: value.flatMap { ShardHolder.decoded(BeaconRow.self, $0) })
    }

    /// The beacon of `period`, sealed by this call if by none before; nil if nobody gave a share.
    func beacon(of period: UInt64) async throws(TableError) -> Digest? {
        let key = AuditRows.beacon(period)
        let machine = Self.machine(try await context.tables.read(key).value, period)
        // With nothing to seal, a proposal by everybody who looks would only be in the others' way.
        guard machine.isSealable else { return machine.beacon }
        return try await update(key, period) { $0.seal() }.beacon
    }
}
