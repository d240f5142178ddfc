internal import CyxAssembly
internal import CyxCore
internal import CyxObjects
internal import CyxOverlay
internal import CyxStorage
internal import CyxTables

/// What `/api/v1/status` and `/api/v1/where` answer.
struct StatusReport: Sendable {
    let peer: PeerAssembly
    /// Of the accounts that a gateway serves.
    let stores: [ObjectGateway]
    /// See `PeerEdges`.
    let gatewayKey: String?

    private var code: Redundancy? { peer.objects.codes?.best }

    /// One sentence, what it says of the tables, and how many losses are survived.
    func verdict() async -> (Verdict, TablesHealth, survives: Int) {
        let tables = await peer.tables.health()
        let code = code
        let survives = min(tables.survives, code.map { $0.parityShards } ?? 0)
        let verdict = Verdict(
            snapshot: peer.overlay.snapshot, tables: tables,
            segments: await peer.repairer.status, code: code, survives: survives,
            suspension: peer.serving.suspension)
        return (verdict, tables, survives)
    }

    func status() async -> JSONValue {
        let snapshot = peer.overlay.snapshot
        let (verdict, tables, survives) = await verdict()
        let segments = await peer.repairer.status
        let usage = await peer.shards.usage
        let code = code
        let scrub = await peer.scrubber.status
        return .object([
            ("peer", .string(snapshot.localPeer.hex)),
            ("network", .string(peer.plan.network.id.hex)),
            ("gateway_key", gatewayKey.map { .string($0) } ?? .null),
            ("version", .string(PeerProcess.version)),
            ("health", .string(verdict.health)),
            ("serving", .bool(peer.serving.suspension == nil)),
            ("sentence", .string(verdict.sentence)),
            ("peers", peers(snapshot)),
            ("zones", zones(snapshot)),
            ("data_survives", number(code.map { $0.parityShards } ?? 0)),
            ("redundancy", .string(code.map { "\($0)" } ?? "none")),
            (
                "uptime_ppm",
                peer.objects.standings.uptime.map { number(Int($0 * 1_000_000)) } ?? .null
            ),
            ("survives", number(survives)),
            (
                "tables",
                .object([
                    ("partitions", number(tables.partitions)),
                    ("partition_bits", number(tables.partitionBits)),
                    ("full", number(tables.fullPartitions)),
                    ("unavailable", number(tables.unavailablePartitions)),
                    ("changing", number(tables.changing)), ("epoch", number(tables.epoch)),
                    ("lag_seconds", number(tables.lag.nanoseconds / 1_000_000_000)),
                    ("survives", number(tables.survives)),
                ])
            ),
            (
                "segments",
                .object([
                    ("total", number(segments.segments)), ("full", number(segments.full)),
                    ("degraded", number(segments.degraded)),
                    ("at_risk", number(segments.atRisk)), ("lost", number(segments.lost)),
                    ("repair_queue", number(segments.queued)),
                    ("bytes_repaired", number(segments.repairedBytes)),
                    ("scanning", number(segments.isCurrent ? 0 : 1)),
                ])
            ),
            (
                "store",
                .object([
                    ("allocated", number(usage.allocated)), ("used", number(usage.used)),
                    ("trash", number(usage.trash)), ("free", number(usage.free)),
                    ("shards", number(usage.shards)),
                ])
            ),
            (
                "scrub",
                .object([
                    ("progress_percent", number(Int(scrub.progress * 100))),
                    ("rounds", number(scrub.rounds)), ("found", number(scrub.found)),
                    ("bytes_per_second", number(Int(scrub.bytesPerSecond))),
                    (
                        "completed",
                        scrub.completed.map { .string($0.rfc3339) } ?? .null
                    ),
                ])
            ),
        ])
    }

    private func number(_ value: some BinaryInteger) -> JSONValue { .integer(Int64(value)) }

    private func peers(_ snapshot: MembershipSnapshot) -> JSONValue {
        func count(_ state: MemberState) -> JSONValue {
            number(snapshot.members.values.count { $0.state == state })
        }
        return .object([
            ("alive", count(.alive)), ("suspect", count(.suspect)), ("dead", count(.dead)),
            ("away", count(.away)),
            ("draining", number(snapshot.reachable.count { $0.info.isDraining })),
        ])
    }

    private func zones(_ snapshot: MembershipSnapshot) -> JSONValue {
        var counts: [String: Int] = [:]
        for member in snapshot.reachable { counts[member.info.zone, default: 0] += 1 }
        return .object(counts.sorted { $0.key < $1.key }.map { ($0.key, number($0.value)) })
    }

    /// The holders of each segment of an object: `bucket` and `key` of the query.
    func place(_ query: [String: String]) async throws -> JSONValue {
        guard let bucket = query["bucket"], let key = query["key"] else {
            throw ConfigurationError("`bucket` and `key` are needed")
        }
        var failure: any Error = ObjectError.noSuchKey
        for store in stores {
            do {
                let segments = try await store.placement(of: key, in: bucket)
                return .object([("segments", .array(segments.map { describe($0) }))])
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func describe(_ segment: SegmentPlacement) -> JSONValue {
        let members = peer.overlay.snapshot.members
        let holders = segment.holders.map { holder in
            JSONValue.object([
                ("index", number(holder.index)), ("peer", .string(holder.peer.hex)),
                ("zone", .string(members[holder.peer]?.info.zone ?? "")),
                ("alive", .bool(members[holder.peer]?.isReachable ?? false)),
                ("standing", .string("\(peer.objects.standings.verdict(holder.peer))")),
            ])
        }
        return .object([
            ("id", .string(segment.segment.hex)), ("k", number(segment.code.dataShards)),
            ("m", number(segment.code.parityShards)), ("holders", .array(holders)),
        ])
    }
}

/// One sentence on how the network is, as this peer sees it.
struct Verdict: Sendable {
    var health: String
    var sentence: String
    /// Whether all that was stored can be read.
    var isReadable: Bool

    init(
        snapshot: MembershipSnapshot, tables: TablesHealth, segments: RepairStatus,
        code: Redundancy?, survives: Int, suspension: String? = nil
    ) {
        let missing = segments.degraded + segments.atRisk
        isReadable = suspension == nil && segments.lost == 0 && code != nil
        if let suspension {
            health = "red"
            sentence = "not serving: \(suspension)"
        } else if segments.lost > 0 || tables.unavailablePartitions > 0 || code == nil {
            health = "red"
            sentence =
                segments.lost > 0
                ? "\(segments.lost) segments have too few shards to be read"
                : code == nil
                    ? "no reachable peer can store data"
                    : "\(tables.unavailablePartitions) partitions have no quorum: start their peers again; "
                        + "if they are lost for good, `cyxcloud network recover`"
        } else if code?.parityShards == 0 {
            health = "amber"
            sentence = "one copy: a single disk holds everything; add peers to survive a loss"
        } else if missing > 0 || !segments.isCurrent || tables.fullPartitions < tables.partitions {
            health = "amber"
            sentence = "repairing: \(missing) segments miss shards, survives \(survives) losses"
        } else {
            health = "green"
            sentence = "whole: survives \(survives) more losses"
        }
    }
}
