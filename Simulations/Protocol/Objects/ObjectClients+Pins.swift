import CyxCore
import CyxObjects
import SimulationHarness

/// Pins in a world of objects: what was pinned stays readable until it is unpinned.
extension ObjectClients {
    /// A pin keeps what a read in its place would have seen.
    func pin(_ key: Int, _ gateway: ObjectGateway) async throws {
        let operation = history(key).invoke(isUpdate: false).operation
        do {
            let pin = try await gateway.pin(name(key), in: ObjectWorld.bucket, for: nil)
            with { $0.seePinned(key, operation, pin) }
        } catch ObjectError.noSuchKey {
            with { $0.see(key, operation, nil, etag: nil) }
        }
    }

    func readPin(_ id: String, _ gateway: ObjectGateway) async throws {
        do {
            let body = try await gateway.get(pin: id, range: .whole)
            var source = body.source
            var bytes: [UInt8] = []
            while let next = try await source.next() { bytes += next }
            let whole = bytes
            with { $0.see(pin: id, whole) }
        } catch let error as ObjectError {
            switch error {
            case .noSuchPin, .dataLost: with { $0.miss(pin: id, "\(error)") }
            default: throw error
            }
        }
    }

    func unpin(_ id: String, _ gateway: ObjectGateway) async throws {
        with { $0.endPin(id) }
        do { try await gateway.unpin(id) } catch ObjectError.noSuchPin {}
        with { $0.count("pins removed") }
    }

    /// All pins of the account, those too whose makers never learnt of them.
    static func pins(_ gateway: ObjectGateway) async throws -> [PinInfo] {
        var pins: [PinInfo] = []
        var after: String?
        repeat {
            let page = try await gateway.pins(after: after)
            pins += page.pins
            after = page.next
        } while after != nil
        return pins
    }

    /// Removes every other pin, so that some segments are kept by pins alone and others by nothing.
    func settlePins(limit: Duration) {
        guard let peer = world.gateways.first, let gateway = peer.gateway else { return }
        let task = run(peer.machine) {
            for (number, pin) in try await Self.pins(gateway).enumerated()
            where number.isMultiple(of: 2) {
                try await self.unpin(pin.id, gateway)
            }
        }
        world.world.run(limit: limit) { task.result != nil }
    }
}

/// What clients know of pins.
struct PinRecords {
    /// By ID: the ETag of what each keeps.
    private(set) var kept: [String: String] = [:]

    mutating func add(_ pin: PinInfo) { kept[pin.id] = pin.etag }
    mutating func remove(_ id: String) { kept[id] = nil }
}
