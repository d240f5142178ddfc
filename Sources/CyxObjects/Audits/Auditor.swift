package import CyxCore
package import CyxCrypto
internal import CyxOverlay
internal import CyxTables
internal import CyxTransport

/// One audit as `audit log` shows it.
package struct AuditRecord: Hashable, Sendable {
    package var time: WallTime
    package var shard: ShardID
    package var peer: PeerID
    package var outcome: AuditOutcome
}

/// Audits the holders of segments whose custodian this peer is, as the beacon of each period
/// demands, and tells what it found (B6).
package actor Auditor {
    /// Audits that are under way at once; the rest wait their turn.
    static let concurrency = 16
    /// Looks for audits that are due, per period.
    static let ticks = 240
    /// Looks between two attempts to plan a period.
    static let ticksBetweenPlans = 12
    /// Audits that are remembered for people.
    static let records = 512

    let context: ObjectContext
    let repairer: Repairer
    private let signing: SigningKey
    private let beacons: BeaconKeeper
    private var tallies: TallyWriter
    private var queue: [PlannedAudit] = []
    private var planned: UInt64 = 0
    private var contributed: UInt64 = 0
    private var ticksUntilPlan = 0
    /// The period whose beacon decides about placement here.
    private var salted: UInt64 = 0
    private var running = 0
    private var recent: [AuditRecord] = []
    private let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        context.environment.executor.asUnownedSerialExecutor()
    }

    /// `signing`: the peer's identity key.
    package init(context: ObjectContext, repairer: Repairer, signing: SigningKey) {
        self.context = context
        self.repairer = repairer
        self.signing = signing
        beacons = BeaconKeeper(context: context, signing: signing)
        tallies = TallyWriter(context: context, signing: signing)
        logger = context.environment.logger.labelled("audit")
        for outcome in [AuditOutcome.passed, .wrong, .unknown, .offline] { _ = counter(outcome) }
    }

    private nonisolated func counter(_ outcome: AuditOutcome) -> Counter {
        context.environment.metrics.counter(
            "cyxcloud_audit_challenges_total", [("result", outcome.label)])
    }

    /// The latest audits by this peer, oldest first.
    package var log: [AuditRecord] { recent }

    var timings: AuditTimings { context.timings.audits }

    /// Audits until the task is cancelled.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            while true {
                try await context.environment.sleep(for: timings.period / Auditor.ticks)
                await advance()
                let now = context.environment.now()
                while running < Auditor.concurrency, let next = queue.first, next.start <= now {
                    queue.removeFirst()
                    running += 1
                    group.addTask { await self.audit(next) }
                }
            }
        }
    }

    /// Plans a period once it has begun. What fails is tried again some looks later: each attempt
    /// asks a quorum.
    private func advance() async {
        let period = timings.period(at: context.environment.wallTime())
        guard contributed != period || planned != period else { return }
        ticksUntilPlan -= 1
        guard ticksUntilPlan <= 0 else { return }
        ticksUntilPlan = Auditor.ticksBetweenPlans
        do throws(TableError) {
            if contributed != period {
                try await beacons.contribute(in: period)
                contributed = period
            }
            try await adoptSalt(in: period)
            guard planned != period else { return }
            let shards = await repairer.watchedShards
            guard !shards.isEmpty, let beacon = try await beacons.beacon(of: period) else {
                return
            }
            queue = try await plan(period, beacon, shards)
            planned = period
            ticksUntilPlan = 0
        } catch {
            logger.debug("a period could not be planned yet", [("error", "\(error)")])
        }
    }

    /// Has the beacon decide who fills vacancies, for those who were there before it was chosen:
    /// `lead` periods ahead its first custodian committed to its share.
    private func adoptSalt(in period: UInt64) async throws(TableError) {
        let first = period - period % timings.placementPeriods
        guard salted != first, first > BeaconMachine.lead,
            let beacon = try await beacons.beacon(of: first)
        else { return }
        salted = first
        let environment = context.environment
        let chosen = timings.start(ofPeriod: first - BeaconMachine.lead).milliseconds
        let age = Duration.milliseconds(environment.wallTime().milliseconds - chosen)
        context.salts.adopt(
            PlacementSalt(value: beacon, unknownUntil: environment.now() - age))
    }

    private func plan(
        _ period: UInt64, _ beacon: Digest, _ shards: [WatchedShard]
    ) async throws(TableError) -> [PlannedAudit] {
        let health = await context.tables.health()
        let plan = AuditPlan(
            period: period, beacon: beacon, bits: health.partitionBits, watched: health.leading,
            shards: shards)
        var custodians: [UInt64: [PeerID]] = [:]
        let snapshot = context.membership.snapshot
        let local = context.messaging.localPeer
        for prefix in plan.prefixes.sorted() {
            let bits = UInt64(plan.bits)
            let position = Digest(bits == 0 ? 0 : prefix << (64 - bits), 0, 0, 0)
            custodians[prefix] = try await context.tables.custodians(of: position).filter {
                $0 == local || snapshot.mayBeThere($0)
            }
        }
        var used: [PeerID: UInt64] = [:]
        for member in snapshot.storers {
            let (bytes, isOver) = member.info.allocatedBytes.subtractingReportingOverflow(
                member.info.freeBytes)
            used[member.peer] = isOver ? 0 : bytes
        }
        let elapsed =
            context.environment.wallTime().milliseconds
            - timings.start(ofPeriod: period).milliseconds
        return plan.audits(
            by: local, custodians: custodians, warned: context.standings.peers(atLeast: .warned),
            usedBytes: used,
            start: context.environment.now() - .milliseconds(elapsed), timings: timings)
    }

    // MARK: One audit

    private func audit(_ planned: PlannedAudit) async {
        defer { running -= 1 }
        var attempt = AuditAttempt(timings: timings)
        var evidence: AuditEvidence?
        do {
            while true {
                guard let subject = try await subject(planned) else {
                    return await note(planned, .void, nil)
                }
                let (reply, proof) = try await ask(planned, subject)
                evidence = proof ?? evidence
                switch attempt.note(reply) {
                case .ask(let pause): try await context.environment.sleep(for: pause)
                case .finish(.wrong):
                    // It may have been deleted or rebuilt elsewhere while it was asked.
                    let isStill = try await self.subject(planned) != nil
                    return await note(planned, isStill ? .wrong : .void, evidence)
                case .finish(let outcome): return await note(planned, outcome, nil)
                }
            }
        } catch {
            logger.debug("an audit was given up", [("error", "\(error)")])
        }
    }

    struct Subject: Sendable {
        var receipt: StoreReceipt
        var owner: AccountID
    }

    /// What there is to audit by: the entry must be in the rows, with a receipt of its holder's, and
    /// not known to be bad already. Nil: nothing. No receipt, no audit, no penalty.
    func subject(_ planned: PlannedAudit) async throws(TableError) -> Subject? {
        let segment = planned.challenge.shard.segment
        guard let core = try await context.tables.read(ObjectRows.core(segment)).value else {
            return nil
        }
        let holders = try await context.holders(of: segment)
        guard let holder = holders.first(where: { $0.entry == planned.entry }),
            await !repairer.isBad(planned.entry, of: segment)
        else { return nil }
        let entry = planned.entry
        let subject = await context.environment.blocking.run { () -> Subject? in
            do throws(RowError) {
                let (shape, owner) = try SegmentShape.verified(core, of: segment)
                guard holder.receipt.proves(entry, in: shape) else { return nil }
                return Subject(receipt: holder.receipt, owner: owner)
            } catch { return nil }
        }
        guard let subject, try await !context.isNeglected(subject.owner) else { return nil }
        return subject
    }

    func ask(
        _ planned: PlannedAudit, _ subject: Subject
    ) async throws -> (AuditReply, AuditEvidence?) {
        let peer = planned.entry.peer
        guard isServing(planned.entry) || isUnheard(peer) else { return (.unreachable, nil) }
        let answer: AuditAnswer
        do throws(ShardClient.Failure) {
            answer = try await context.client.audit(planned.challenge, at: peer)
        } catch {
            guard case .call(let failure) = error else { return (.silent, nil) }
            switch failure {
            case .cancelled: throw CancellationError()
            case .unreachable, .connectionLost: return (.unreachable, nil)
            case .refused(_) where ShardRefusal(failure) == .suspended: return (.unreachable, nil)
            // A peer that died while it was asked is told from one that does not answer by what
            // membership has found meanwhile.
            default: return (isServing(planned.entry) ? .silent : .unreachable, nil)
            }
        }
        let challenge = planned.challenge
        let finding = await context.environment.blocking.run {
            challenge.judge(answer, by: subject.receipt, owner: subject.owner)
        }
        guard finding == .wrong || finding == .missing else { return (.judged(finding), nil) }
        return (.judged(finding), AuditEvidence(subject.receipt, challenge, answer))
    }

    /// Whether membership has the peer alive, with the store that gave the receipt.
    private func isServing(_ entry: HolderEntry) -> Bool {
        guard let member = context.membership.snapshot.members[entry.peer] else { return false }
        return member.state == .alive && member.info.store == entry.store
    }

    /// Whether a large network's membership has not heard of a peer yet, which is not its fault.
    private func isUnheard(_ peer: PeerID) -> Bool {
        let snapshot = context.membership.snapshot
        return snapshot.members[peer] == nil && snapshot.mayBeThere(peer)
    }

    func remember(_ record: AuditRecord) {
        if recent.count >= Auditor.records { recent.removeFirst(Auditor.records / 2) }
        recent.append(record)
    }

    private func note(
        _ planned: PlannedAudit, _ outcome: AuditOutcome, _ evidence: AuditEvidence?
    ) async {
        let (shard, peer) = (planned.challenge.shard, planned.entry.peer)
        remember(
            AuditRecord(
                time: context.environment.wallTime(), shard: shard, peer: peer, outcome: outcome))
        guard outcome != .void else { return }
        counter(outcome).add()
        if outcome == .wrong {
            logger.warning(
                "an audit failed",
                [("shard", "\(shard.segment)/\(shard.index)"), ("peer", "\(peer)")])
            await repairer.auditFailed(shard, at: peer)
        }
        await tallies.add(outcome, of: peer, evidence)
    }
}

extension AuditOutcome {
    /// As in metrics and the log.
    package var label: String {
        switch self {
        case .passed: "pass"
        case .wrong: "wrong"
        case .unknown: "unknown"
        case .offline: "offline"
        case .void: "void"
        }
    }
}
