package import CyxCore

/// When objects of a bucket go by themselves: `LifecycleConfiguration`. Nothing is moved to other
/// storage classes, since there are none.
package struct LifecycleConfiguration: Equatable, Sendable {
    /// Of one configuration.
    static let maximumRules = 1000

    package var rules: [LifecycleRule]
    /// How long a day is; no document says so, tests have shorter ones.
    package var dayMilliseconds: Int64 = 86_400_000

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "LifecycleConfiguration")
        rules = []
        var names: Set<String> = []
        for element in root.children {
            guard element.name == "Rule" else { throw .malformedXML }
            let rule = try LifecycleRule(element)
            guard !rule.id.isEmpty else {
                rules.append(rule)
                continue
            }
            guard names.insert(rule.id).inserted else {
                throw .invalidArgument(
                    "Rule ID must be unique. Found same ID for more than one rule")
            }
            rules.append(rule)
        }
        guard (1...LifecycleConfiguration.maximumRules).contains(rules.count) else {
            throw .malformedXML
        }
        for index in rules.indices where rules[index].id.isEmpty {
            var number = index + 1
            while !names.insert("rule-\(number)").inserted { number += 1 }
            rules[index].id = "rule-\(number)"
        }
    }

    package var document: [UInt8] {
        XMLWriter.document("LifecycleConfiguration") { xml in
            for rule in rules { rule.write(to: &xml) }
        }
    }

    // MARK: Answering

    /// What of an object version counts for the rules.
    package struct Subject: Sendable {
        package var key: String
        package var size: UInt64
        package var tags: [TagSet.Tag]
        package var modified: WallTime

        package init(key: String, size: UInt64, tags: [TagSet.Tag], modified: WallTime) {
            self.key = key
            self.size = size
            self.tags = tags
            self.modified = modified
        }
    }

    /// When the current version goes, and by which rule: the earliest counts. nil if it stays.
    package func expiration(of object: Subject) -> (rule: LifecycleRule, time: WallTime)? {
        var first: (rule: LifecycleRule, time: WallTime)?
        for rule in rules where rule.isEnabled {
            let time: WallTime
            switch rule.expiration {
            case .days(let days):
                time = midnight(object.modified, after: days)
            case .date(let date): time = date
            case .lonelyDeleteMarker, nil: continue
            }
            guard rule.filter.matches(key: object.key, size: object.size, tags: object.tags)
            else { continue }
            if first.map({ time < $0.time }) ?? true { first = (rule, time) }
        }
        return first
    }

    /// When a version goes that became noncurrent at `since` and has `newer` noncurrent versions of
    /// its key above it; nil if it stays.
    package func noncurrentExpiration(
        of object: Subject, since: WallTime, newer: Int
    ) -> WallTime? {
        var first: WallTime?
        for rule in rules where rule.isEnabled {
            guard let noncurrent = rule.noncurrent, Int64(newer) >= noncurrent.keptVersions ?? 0,
                rule.filter.matches(key: object.key, size: object.size, tags: object.tags)
            else { continue }
            let time = midnight(since, after: noncurrent.days)
            first = first.map { min($0, time) } ?? time
        }
        return first
    }

    /// Whether a delete marker of `key` with no version under it goes.
    package func removesLonelyDeleteMarker(of key: String) -> Bool {
        rules.contains {
            $0.isEnabled && $0.expiration == .lonelyDeleteMarker(true)
                && $0.filter.matches(key: key, size: 0, tags: [])
        }
    }

    /// When an unfinished upload of `key` is aborted, and by which rule; nil if it stays.
    package func abortion(
        ofUpload key: String, started: WallTime
    ) -> (rule: LifecycleRule, time: WallTime)? {
        var first: (rule: LifecycleRule, time: WallTime)?
        for rule in rules where rule.isEnabled {
            guard let days = rule.abortDays, key.utf8.starts(with: (rule.filter.prefix ?? "").utf8)
            else { continue }
            let time = midnight(started, after: days)
            if first.map({ time < $0.time }) ?? true { first = (rule, time) }
        }
        return first
    }

    /// So many days later, and on to the next midnight (UTC), as S3 counts.
    private func midnight(_ time: WallTime, after days: Int64) -> WallTime {
        let day = dayMilliseconds
        let end = time.milliseconds + days * day
        return WallTime(milliseconds: (end + day - 1) / day * day)
    }

    /// The header `x-amz-expiration`.
    package static func header(_ expiration: (rule: LifecycleRule, time: WallTime)) -> String {
        let id = PercentEncoding.encode(expiration.rule.id.utf8)
        return "expiry-date=\"\(CivilDate(expiration.time).http)\", rule-id=\"\(id)\""
    }
}
