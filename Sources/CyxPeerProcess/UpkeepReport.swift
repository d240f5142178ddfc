internal import CyxAssembly
internal import CyxCore
internal import CyxGateway
internal import CyxObjects
internal import CyxOverlay
internal import CyxTables

/// What `/api/v1/repair` and `/api/v1/audit` answer, and what they can be told.
struct UpkeepReport: Sendable {
    let peer: PeerAssembly

    /// Read with GET.
    var routes: [String: AdminAPI.Route] {
        [
            "/api/v1/repair": { _ in await repair().encoded },
            "/api/v1/audit/log": { _ in await log().encoded },
            "/api/v1/audit/score": { query in try await score(query).encoded },
        ]
    }

    /// Asked for with POST.
    var actions: [String: AdminAPI.Route] {
        [
            "/api/v1/repair/now": { _ in
                await peer.repairer.hastenAll()
                return await repair().encoded
            },
            "/api/v1/repair/pause": { query in
                guard let word = query["paused"], let isPaused = Bool(word) else {
                    throw ConfigurationError("`paused` is `true` or `false`")
                }
                await peer.repairer.setPaused(isPaused)
                return await repair().encoded
            },
            "/api/v1/repair/throttle": { query in
                guard let text = query["rate"], let rate = UInt64(text) else {
                    throw ConfigurationError("`rate` is in bytes per second; 0: any")
                }
                await peer.repairer.setThrottle(rate == 0 ? nil : rate)
                return await repair().encoded
            },
            "/api/v1/audit/run": { query in
                guard let count = query["sample"].flatMap({ Int($0) }), count > 0 else {
                    throw ConfigurationError("`sample` is how many shards to audit")
                }
                return await run(count).encoded
            },
        ]
    }

    private func number(_ value: some BinaryInteger) -> JSONValue { .integer(Int64(value)) }

    // MARK: Repair

    private func repair() async -> JSONValue {
        let status = await peer.repairer.status
        let throttle = await peer.repairer.throttle
        let storm = await peer.repairer.stormEnd.map { end in
            max(0, (end - peer.environment.now()).nanoseconds / 1_000_000_000)
        }
        return .object([
            ("segments", number(status.segments)), ("full", number(status.full)),
            ("degraded", number(status.degraded)), ("at_risk", number(status.atRisk)),
            ("lost", number(status.lost)), ("queue", number(status.queued)),
            ("bytes_repaired", number(status.repairedBytes)),
            ("paused", .bool(await peer.repairer.isPaused)),
            ("throttle", throttle.map { .integer(Int64(clamping: $0)) } ?? .null),
            ("storm_seconds", storm.map { .integer($0) } ?? .null),
            ("scanning", .bool(!status.isCurrent)),
        ])
    }

    // MARK: Audits

    private func describe(_ record: AuditRecord) -> JSONValue {
        .object([
            ("time", .string(record.time.rfc3339)), ("peer", .string(record.peer.hex)),
            ("segment", .string(record.shard.segment.hex)), ("index", number(record.shard.index)),
            ("result", .string(record.outcome.label)),
        ])
    }

    private func log() async -> JSONValue {
        .object([("audits", .array(await peer.auditor.log.map { describe($0) }))])
    }

    private func run(_ count: Int) async -> JSONValue {
        .object([("audits", .array(await peer.auditor.sample(count).map { describe($0) }))])
    }

    /// The tracks of every member, or of those whose ID begins with `peer`.
    private func score(_ query: [String: String]) async throws -> JSONValue {
        let prefix = query["peer"] ?? ""
        let members = peer.overlay.snapshot.members.keys.filter { $0.hex.hasPrefix(prefix) }
        var scores: [JSONValue] = []
        for member in members.sorted() {
            let standing = try await peer.standings.standing(of: member)
            let verdict = peer.objects.standings.entries[member]
            scores.append(
                .object([
                    ("peer", .string(member.hex)),
                    ("standing", .string("\(verdict?.verdict ?? .good)")),
                    ("reason", .string(verdict?.reason.words ?? "")),
                    ("wrong", share(standing?.wrong.score)),
                    ("unknown", share(standing?.unknown.score)),
                    ("online", share(standing?.onlineScore)),
                ]))
        }
        return .object([("scores", .array(scores))])
    }

    /// Null before the first window of audits is closed.
    private func share(_ score: Double?) -> JSONValue { score.map { .number($0) } ?? .null }
}
