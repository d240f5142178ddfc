package import CyxCore

/// How firmly an object version is kept.
package enum RetentionMode: String, Sendable {
    /// Until then, unless somebody may bypass it and says so.
    case governance = "GOVERNANCE"
    /// Until then, whoever asks.
    case compliance = "COMPLIANCE"
}

/// Until when an object version is kept: `Retention`.
package struct ObjectRetention: Equatable, Sendable {
    package var mode: RetentionMode
    package var until: WallTime

    package init(mode: RetentionMode, until: WallTime) {
        self.mode = mode
        self.until = until
    }

    /// nil for an empty document, which takes the retention away.
    package static func parse(_ bytes: [UInt8]) throws(DocumentFault) -> ObjectRetention? {
        let root = try XMLElement.document(bytes, root: "Retention")
        if root.children.isEmpty { return nil }
        guard let mode = root.text(of: "Mode").flatMap({ RetentionMode(rawValue: $0) }),
            let until = root.child("RetainUntilDate").flatMap({ WallTime(iso8601: $0.trimmed) })
        else { throw .malformedXML }
        return ObjectRetention(mode: mode, until: until)
    }

    package var document: [UInt8] {
        XMLWriter.document("Retention") { xml in
            xml.element("Mode", mode.rawValue)
            xml.element("RetainUntilDate", until.rfc3339)
        }
    }

    /// Throws unless it is later than now.
    package func checkFuture(_ now: WallTime) throws(DocumentFault) {
        guard until > now else {
            throw .invalidArgument("The retain until date must be in the future!")
        }
    }

    /// Whether `next` may take this one's place: to keep longer, always; to keep less long or in
    /// another mode, for who may bypass a governance.
    package func permits(_ next: ObjectRetention?, now: WallTime, bypassing: Bool) -> Bool {
        if until <= now { return true }
        if let next, next.until >= until, mode == next.mode { return true }
        return mode == .governance && bypassing
    }
}

/// What protects one object version from deletion.
package struct ObjectLockState: Equatable, Sendable {
    package var retention: ObjectRetention?
    package var isHeld: Bool

    package init(retention: ObjectRetention?, isHeld: Bool) {
        self.retention = retention
        self.isHeld = isHeld
    }

    /// Whether the version may be deleted.
    package func permitsDeletion(now: WallTime, bypassing: Bool) -> Bool {
        if isHeld { return false }
        return retention?.permits(nil, now: now, bypassing: bypassing) ?? true
    }

    /// Reads `x-amz-object-lock-mode`, `-retain-until-date` and `-legal-hold`; nil without any.
    package init?(header: (String) -> String?, now: WallTime) throws(DocumentFault) {
        let prefix = "x-amz-object-lock-"
        let mode = header(prefix + "mode")
        let until = header(prefix + "retain-until-date")
        let hold = header(prefix + "legal-hold")
        guard mode != nil || until != nil || hold != nil else { return nil }
        isHeld = false
        if let hold { isHeld = try ObjectLockState.isHeld(hold, else: "Legal Hold") }
        guard let mode, let until else {
            guard mode == nil, until == nil else {
                throw .invalidArgument(
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be "
                        + "supplied")
            }
            return
        }
        guard let known = RetentionMode(rawValue: mode) else {
            throw .invalidArgument("Unknown wormMode directive.")
        }
        guard let time = WallTime(iso8601: until) else {
            throw .invalidArgument("The retain until date must be provided in ISO 8601 format")
        }
        let retention = ObjectRetention(mode: known, until: time)
        try retention.checkFuture(now)
        self.retention = retention
    }

    private static func isHeld(_ text: String, else name: String) throws(DocumentFault) -> Bool {
        switch text {
        case "ON": return true
        case "OFF": return false
        default: throw .invalidArgument("\(name) must be either of 'ON' or 'OFF'")
        }
    }

    /// Reads a `LegalHold` document.
    package static func parseHold(_ bytes: [UInt8]) throws(DocumentFault) -> Bool {
        let root = try XMLElement.document(bytes, root: "LegalHold")
        switch root.text(of: "Status") {
        case "ON": return true
        case "OFF": return false
        default: throw .malformedXML
        }
    }

    package static func holdDocument(_ isHeld: Bool) -> [UInt8] {
        XMLWriter.document("LegalHold") { $0.element("Status", isHeld ? "ON" : "OFF") }
    }
}

/// Whether a bucket's object versions can be locked, and how they are without more being said:
/// `ObjectLockConfiguration`.
package struct ObjectLockConfiguration: Equatable, Sendable {
    package enum Period: Equatable, Sendable {
        case days(Int64)
        case years(Int64)

        /// A year counts 365 days.
        var days: Int64 {
            switch self {
            case .days(let count): count
            case .years(let count): count * 365
            }
        }
    }

    /// S3's bounds of a default.
    static let maximumDays: Int64 = 36_500
    static let maximumYears: Int64 = 100

    package var mode: RetentionMode?
    package var period: Period?

    package init() {}

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "ObjectLockConfiguration")
        guard root.text(of: "ObjectLockEnabled") == "Enabled" else { throw .malformedXML }
        guard let rule = try root.only("Rule") else { return }
        guard let standard = try rule.only("DefaultRetention"),
            let mode = standard.text(of: "Mode").flatMap({ RetentionMode(rawValue: $0) })
        else { throw .malformedXML }
        self.mode = mode
        switch (try standard.number("Days"), try standard.number("Years")) {
        case (let days?, nil): period = .days(days)
        case (nil, let years?): period = .years(years)
        default: throw .malformedXML
        }
        let (count, limit) =
            switch period {
            case .days(let days): (days, ObjectLockConfiguration.maximumDays)
            case .years(let years): (years, ObjectLockConfiguration.maximumYears)
            case nil: (Int64(1), Int64(1))
            }
        guard count > 0 else {
            throw DocumentFault(
                "InvalidRetentionPeriod", 400,
                "Default retention period must be a positive integer value.")
        }
        guard count <= limit else {
            throw DocumentFault(
                "InvalidRetentionPeriod", 400,
                "Default retention period too large; it is at most \(limit)")
        }
    }

    package var document: [UInt8] {
        XMLWriter.document("ObjectLockConfiguration") { xml in
            xml.element("ObjectLockEnabled", "Enabled")
            guard let mode, let period else { return }
            xml.element("Rule") { xml in
                xml.element("DefaultRetention") { xml in
                    xml.element("Mode", mode.rawValue)
                    switch period {
                    case .days(let days): xml.element("Days", days)
                    case .years(let years): xml.element("Years", years)
                    }
                }
            }
        }
    }

    /// What a version written at `now` gets if its writer says nothing.
    package func retention(from now: WallTime) -> ObjectRetention? {
        guard let mode, let period else { return nil }
        let until = now.milliseconds + period.days * 86_400_000
        return ObjectRetention(mode: mode, until: WallTime(milliseconds: until))
    }
}
