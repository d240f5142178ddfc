import CyxCore
import CyxS3
import Testing

@Suite struct ObjectLockTests {
    private static let now = WallTime(milliseconds: 1_767_225_600_000)
    private static let day: Int64 = 86_400_000

    private static func after(_ days: Int64) -> WallTime {
        WallTime(milliseconds: now.milliseconds + days * day)
    }

    private static func configuration(_ rule: String) throws -> ObjectLockConfiguration {
        let text =
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\(rule)"
            + "</ObjectLockConfiguration>"
        return try ObjectLockConfiguration(parsing: Array(text.utf8))
    }

    private static func rule(_ inner: String) -> String {
        "<Rule><DefaultRetention>\(inner)</DefaultRetention></Rule>"
    }

    @Test func defaultsCountInDaysOrYears() throws {
        let days = try Self.configuration(Self.rule("<Mode>COMPLIANCE</Mode><Days>3</Days>"))
        #expect(days.retention(from: Self.now) == .init(mode: .compliance, until: Self.after(3)))
        let years = try Self.configuration(Self.rule("<Mode>GOVERNANCE</Mode><Years>2</Years>"))
        #expect(years.retention(from: Self.now)?.until == Self.after(730))
        #expect(try Self.configuration("").retention(from: Self.now) == nil)
        for configuration in [days, years, ObjectLockConfiguration()] {
            let again = try ObjectLockConfiguration(parsing: configuration.document)
            #expect(again == configuration)
        }
    }

    @Test(arguments: [
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"), ("<Days>1</Days>", "MalformedXML"),
        ("<Mode>governance</Mode><Days>1</Days>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>0</Days>", "InvalidRetentionPeriod"),
        ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", "InvalidRetentionPeriod"),
        ("<Mode>GOVERNANCE</Mode><Years>101</Years>", "InvalidRetentionPeriod"),
    ])
    func brokenDefaultsAreRefused(inner: String, code: String) {
        let fault = #expect(throws: DocumentFault.self) {
            try Self.configuration(Self.rule(inner))
        }
        #expect(fault?.code == code)
    }

    @Test func retentionsReadBackAsTheyWere() throws {
        let retention = ObjectRetention(mode: .governance, until: Self.after(1))
        #expect(try ObjectRetention.parse(retention.document) == retention)
        #expect(try ObjectRetention.parse(Array("<Retention/>".utf8)) == nil)
        for inner in ["<Mode>GOVERNANCE</Mode>", "<Mode>X</Mode><RetainUntilDate>2030-01-01"] {
            #expect(throws: DocumentFault.malformedXML) {
                try ObjectRetention.parse(Array("<Retention>\(inner)</Retention>".utf8))
            }
        }
        #expect(throws: DocumentFault.self) { try retention.checkFuture(Self.after(1)) }
        #expect(throws: Never.self) { try retention.checkFuture(Self.now) }
    }

    @Test(arguments: [
        (
            RetentionMode.governance, RetentionMode.governance as RetentionMode?, Int64(3), false,
            true
        ),
        (.governance, .compliance, 2, false, false), (.governance, .compliance, 2, true, true),
        (.governance, .governance, 1, false, false),
        (.governance, .governance, 1, true, true), (.governance, nil, 0, false, false),
        (.governance, nil, 0, true, true), (.compliance, .compliance, 3, false, true),
        (.compliance, .compliance, 1, true, false), (.compliance, .governance, 3, true, false),
        (.compliance, nil, 0, true, false),
    ])
    func retentionsGrowButDoNotShrink(
        mode: RetentionMode, next: RetentionMode?, days: Int64, bypassing: Bool, permits: Bool
    ) {
        let old = ObjectRetention(mode: mode, until: Self.after(2))
        let new = next.map { ObjectRetention(mode: $0, until: Self.after(days)) }
        #expect(old.permits(new, now: Self.now, bypassing: bypassing) == permits)
        #expect(old.permits(new, now: Self.after(2), bypassing: false), "its time is over")
    }

    @Test func holdsOutlastRetentions() {
        let retention = ObjectRetention(mode: .governance, until: Self.after(2))
        let held = ObjectLockState(retention: nil, isHeld: true)
        #expect(!held.permitsDeletion(now: Self.after(9), bypassing: true))
        let kept = ObjectLockState(retention: retention, isHeld: false)
        #expect(!kept.permitsDeletion(now: Self.now, bypassing: false))
        #expect(kept.permitsDeletion(now: Self.now, bypassing: true))
        #expect(kept.permitsDeletion(now: Self.after(2), bypassing: false))
        #expect(
            ObjectLockState(retention: nil, isHeld: false)
                .permitsDeletion(now: Self.now, bypassing: false))
    }

    @Test func headersOfWritesAreRead() throws {
        func read(_ headers: [String: String]) throws -> ObjectLockState? {
            try ObjectLockState(
                header: { headers[String($0.dropFirst("x-amz-object-lock-".count))] },
                now: Self.now)
        }
        #expect(try read([:]) == nil)
        #expect(try read(["legal-hold": "ON"]) == .init(retention: nil, isHeld: true))
        let both = ["mode": "COMPLIANCE", "retain-until-date": "2026-01-03T00:00:00Z"]
        #expect(try read(both)?.retention == .init(mode: .compliance, until: Self.after(2)))
        for broken in [
            ["mode": "COMPLIANCE"], ["retain-until-date": "2026-01-03T00:00:00Z"],
            ["mode": "X", "retain-until-date": "2026-01-03T00:00:00Z"],
            ["mode": "COMPLIANCE", "retain-until-date": "2025-01-03T00:00:00Z"],
            ["mode": "COMPLIANCE", "retain-until-date": "soon"], ["legal-hold": "yes"],
        ] {
            let fault = #expect(throws: DocumentFault.self) { try read(broken) }
            #expect(fault?.code == "InvalidArgument")
        }
    }

    @Test func legalHoldsAreOnOrOff() throws {
        for isHeld in [true, false] {
            #expect(
                try ObjectLockState.parseHold(ObjectLockState.holdDocument(isHeld)) == isHeld)
        }
        #expect(throws: DocumentFault.malformedXML) {
            try ObjectLockState.parseHold(Array("<LegalHold><Status>on</Status></LegalHold>".utf8))
        }
    }
}
