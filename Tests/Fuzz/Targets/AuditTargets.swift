import CyxCore
import CyxCrypto
import CyxTables

@testable import CyxObjects

/// Rows and answers of audits: whoever is audited, and anybody else, may write some of them.
let auditTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "audit-message", bytesMax: 4096, trials: 1500,
        seeds: {
            let share = BeaconShare(
                peerKey: ObjectSamples.signing.verifyingKey.bytes, commitment: Array(0..<32),
                secret: Array(0..<32), signature: Array(0..<64))
            return [
                [0] + BeaconRow(shares: [share], sealed: true).protobufBytes(),
                [1] + AuditSamples.challenge.request.protobufBytes(),
                [2] + AuditSamples.answer.protobufBytes(),
                [3]
                    + AuditEvidence(
                        receipt: ObjectSamples.receiptBytes,
                        request: AuditSamples.challenge.request,
                        answer: AuditSamples.answer
                    ).protobufBytes(),
                [4]
                    + AuditTally.signed(
                        WindowTally(passed: 3, offline: 1), of: AuditSamples.peer, in: 5,
                        by: ObjectSamples.signing
                    ).protobufBytes(),
                [5]
                    + VerdictRow(peer: AuditSamples.peer.bytes, standing: 1, reason: 2, window: 3)
                    .protobufBytes(),
            ]
        },
        decode: Choice(decoders: [
            { bytes in
                guard let row = try message(BeaconRow.self, bytes) else { return false }
                _ = BeaconMachine.objection(to: row, period: 5)
                return true
            },
            { bytes in
                guard let request = try message(AuditRequest.self, bytes) else { return false }
                guard let challenge = AuditChallenge(request) else { return false }
                try BrokenProperty.check(challenge.request == request, "another request")
                _ = challenge.block(fileBytes: request.period)
                return true
            },
            { bytes in
                guard let answer = try message(AuditAnswer.self, bytes) else { return false }
                _ = AuditSamples.challenge.judge(answer, by: ObjectSamples.receipt)
                return true
            },
            { bytes in
                guard let evidence = try message(AuditEvidence.self, bytes) else { return false }
                _ = evidence.id
                _ = evidence.proven
                return true
            },
            { bytes in
                guard let tally = try message(AuditTally.self, bytes) else { return false }
                guard tally.isSigned(AuditSamples.peer, 5) else { return false }
                var standing = Standing(peer: AuditSamples.peer)
                standing.close(
                    5,
                    WindowTally(
                        passed: Int(tally.passed), unknown: Int(tally.unknown),
                        offline: Int(tally.offline)))
                return true
            },
            { bytes in
                guard let row = try message(VerdictRow.self, bytes) else { return false }
                _ = row.isSigned
                return true
            },
        ]).decode),
    FuzzTarget(
        name: "standing", bytesMax: 2048,
        seeds: {
            var standing = Standing(peer: AuditSamples.peer)
            standing.close(3, WindowTally(passed: 9, wrong: 2, unknown: 1, offline: 4))
            standing.close(70, WindowTally(passed: 1, offline: 9))
            return [standing.row.protobufBytes()]
        },
        decode: { bytes in
            // Compared by their bytes: a row may hold numbers that do not equal themselves.
            let row = try taken(DecodingError.self) { try StandingRow(protobuf: bytes) }
            guard let row else { return false }
            let again = try StandingRow(protobuf: row.protobufBytes())
            try BrokenProperty.check(again.protobufBytes() == row.protobufBytes(), "another row")
            guard var standing = Standing(row, of: AuditSamples.peer) else { return false }
            _ = standing.verdict
            _ = standing.onlineScore
            try BrokenProperty.check(
                Standing(standing.row, of: AuditSamples.peer) == standing, "another standing")
            // As its keeper does with the next windows.
            for step in [1, 1, 30, 100] as [UInt64] {
                let (window, isOver) = standing.lastWindow.addingReportingOverflow(step)
                guard !isOver else { break }
                standing.close(window, WindowTally(passed: 2, wrong: 1, unknown: 3, offline: 1))
                _ = standing.verdict
            }
            return true
        }),
]

private enum AuditSamples {
    static let peer = ObjectSamples.signing.verifyingKey.peerID
    static let challenge = AuditChallenge(
        period: 5, beacon: Digest(1, 2, 3, 4), shard: ObjectSamples.shard)
    static let answer = AuditAnswer.signed(
        challenge, .found, store: StoreID(Digest(4, 4, 4, 4)),
        time: WallTime(milliseconds: 1_700_000_000_000), block: ObjectSamples.file,
        by: ObjectSamples.signing)
}
