internal import CyxCore
internal import CyxCrypto
internal import CyxTables

/// What a segment's register says of it.
package enum SegmentLife: Hashable, Sendable {
    /// Not registered, or removed already.
    case absent
    case live
    /// A collector looks whether anything refers to it; the collector's random name.
    case condemning([UInt8])
    /// Nothing does: it is being removed, for good.
    case condemned
}

/// A writer's part of B5: makes sure that a segment to which it is about to refer stays. A machine.
///
/// The reference comes first and the state second, so that a collector either sees the reference or
/// has changed the state before it is read here.
package struct SegmentClaim: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        case refer
        case readState
        /// Takes the reference back.
        case unrefer
        case granted
        case refused
    }

    package private(set) var step: Step
    private var isReferring = false
    private var hasReadState = false

    package init(rules: CollectionRules) {
        step = rules.refersBeforeReadingState ? .refer : .readState
    }

    package mutating func referred() {
        precondition(step == .refer, "a reference was not the next step")
        // The safe order reads the state now; the reversed one has read it.
        step = hasReadState ? .granted : .readState
        isReferring = true
    }

    package mutating func read(_ life: SegmentLife) {
        precondition(step == .readState, "the state was not the next step")
        hasReadState = true
        if life == .live {
            step = isReferring ? .granted : .refer
        } else {
            step = isReferring ? .unrefer : .refused
        }
    }

    package mutating func unreferred() {
        precondition(step == .unrefer, "there was nothing to take back")
        step = .refused
    }
}

/// A collector's part of B5, for one segment: condemning by compare-and-set, then reading what
/// refers to it, then back to live, or condemned. A machine.
package struct SegmentCondemnation: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        /// Compare-and-set with `change`; tell `found` what the register holds then.
        case condemn
        case readReferences
        /// As `condemn`.
        case revive
        case confirm
        /// Nothing refers to the segment, and nothing will: its shards and rows may go.
        case condemned
        case kept
    }

    package private(set) var step: Step
    /// The name of the condemnation that this goes on with: one's own, or that of a collector which
    /// began before and may be gone.
    private var name: [UInt8]
    private let readsFirst: Bool

    /// `name`: random, so that a condemnation which was lifted and begun anew by somebody else
    /// meanwhile is not taken for one's own.
    package init(name: [UInt8], rules: CollectionRules) {
        self.name = name
        readsFirst = !rules.condemnsBeforeReadingReferences
        step = readsFirst ? .readReferences : .condemn
    }

    /// What the present step makes of a register that holds `life`; nil: leave it alone.
    package func change(_ life: SegmentLife) -> SegmentLife? {
        switch (step, life) {
        case (.condemn, .live): .condemning(name)
        case (.revive, .condemning(name)): .live
        case (.confirm, .condemning(name)): .condemned
        default: nil
        }
    }

    /// The register held `life` after the present step's compare-and-set.
    package mutating func found(_ life: SegmentLife) {
        switch (step, life) {
        case (_, .absent), (_, .condemned): step = .condemned
        case (.condemn, .condemning(let current)):
            name = current
            step = readsFirst ? .confirm : .readReferences
        // Somebody lifted the condemnation, or began another.
        default: step = .kept
        }
    }

    package mutating func read(isReferredTo: Bool) {
        precondition(step == .readReferences, "references were not the next step")
        if readsFirst {
            step = isReferredTo ? .kept : .condemn
        } else {
            step = isReferredTo ? .revive : .confirm
        }
    }
}

extension SegmentShape {
    /// The life that a core's register gives; a row that cannot be read counts as live, so that
    /// nothing is ever removed for it. The signature was checked by the tables.
    static func life(_ value: [UInt8]?) -> SegmentLife {
        guard let value else { return .absent }
        do {
            let core = try SegmentCore(protobuf: try SignedRow(protobuf: value).payload)
            switch core.state {
            case .condemning: return .condemning(core.condemnation)
            case .condemned: return .condemned
            default: return .live
            }
        } catch { return .live }
    }

    /// The same core with another life, signed anew; nil for a row of another account.
    static func changed(
        _ value: [UInt8], of segment: SegmentID, to life: SegmentLife, by signing: SigningKey
    ) -> [UInt8]? {
        let key = ObjectRows.core(segment)
        do {
            let (payload, account) = try Rows.verify(value, at: key)
            guard account == signing.verifyingKey.accountID else { return nil }
            var core = try SegmentCore(protobuf: payload)
            core.condemnation = []
            switch life {
            case .absent, .live: core.state = .live
            case .condemning(let name):
                core.state = .condemning
                core.condemnation = name
            case .condemned: core.state = .condemned
            }
            return Rows.sign(core.protobufBytes(), at: key, with: signing)
        } catch { return nil }
    }
}
