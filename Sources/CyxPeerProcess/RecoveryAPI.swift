internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// `GET /api/v1/recovery` and `POST /api/v1/recover`: what `cyxcloud network recover` asks and sends.
struct RecoveryAPI: Sendable {
    let tables: TableService

    func assess() async throws -> JSONValue {
        let report = try await tables.assessRecovery()
        return .object([
            ("admin_key", report.adminKey.map { .string(Hex.encode($0.bytes)) } ?? .null),
            ("partitions", .integer(Int64(report.partitions))),
            ("whole", .integer(Int64(report.whole))),
            ("lost_after_seconds", .integer(report.deathDelay.nanoseconds / 1_000_000_000)),
            (
                "under_way",
                .array(
                    report.underWay.map { certificate in
                        .object([
                            ("partition", .string("\(certificate.view.partition)")),
                            ("is_recovery", .bool(certificate.recovery != nil)),
                            ("certificate", .string(Hex.encode(certificate.bytes))),
                        ])
                    })
            ),
            (
                "waiting",
                .array(
                    report.waiting.map { item in
                        .object([
                            ("partition", .string("\(item.partition)")),
                            ("missing", describe(item.missing)),
                        ])
                    })
            ),
            (
                "lost",
                .array(
                    report.lost.map { item in
                        .object([
                            ("partition", .string("\(item.plan.view.partition)")),
                            ("survivors", .integer(Int64(item.plan.survivors.count))),
                            ("plan", .string(Hex.encode(item.plan.bytes))),
                            ("missing", describe(item.missing)),
                        ])
                    })
            ),
        ])
    }

    private func describe(_ missing: [MissingMember]) -> JSONValue {
        .array(
            missing.map { member in
                var seconds: Int64?
                let reason: String
                switch member.reason {
                case .gone(let duration):
                    (reason, seconds) = ("gone", duration.nanoseconds / 1_000_000_000)
                case .away: reason = "away"
                case .wiped: reason = "wiped"
                case .left: reason = "left"
                }
                return .object([
                    ("peer", .string(member.peer.hex)), ("reason", .string(reason)),
                    ("seconds", seconds.map { .integer($0) } ?? .null),
                ])
            })
    }

    /// `body`: a certificate in hex on each line.
    func install(_ body: [UInt8]) async throws -> JSONValue {
        var certificates: [[UInt8]] = []
        for line in String(decoding: body, as: UTF8.self).split(separator: "\n") {
            guard let bytes = Hex.decode(String(line)) else {
                throw ConfigurationError("expected a certificate in hex on each line")
            }
            certificates.append(bytes)
        }
        let installed = await tables.recover(certificates)
        return .object([
            ("installed", .integer(Int64(installed))),
            ("refused", .integer(Int64(certificates.count - installed))),
        ])
    }
}
