package import CyxCore

/// Which objects a rule of a lifecycle is about.
package struct LifecycleFilter: Equatable, Sendable {
    /// How the document said it, to be said again so.
    enum Form: Sendable { case bare, single, and }

    var form: Form
    package var prefix: String?
    package var tags: [TagSet.Tag] = []
    /// Exclusive bounds of sizes in bytes.
    package var largerThan: Int64?
    package var smallerThan: Int64?

    package func matches(key: String, size: UInt64, tags: [TagSet.Tag]) -> Bool {
        let size = Int64(clamping: size)
        return key.utf8.starts(with: (prefix ?? "").utf8)
            && self.tags.allSatisfy(tags.contains)
            && largerThan.map { size > $0 } ?? true && smallerThan.map { size < $0 } ?? true
    }
}

/// One rule of a lifecycle: which objects go, and when.
package struct LifecycleRule: Equatable, Sendable {
    package enum Expiration: Equatable, Sendable {
        case days(Int64)
        /// Midnight, UTC.
        case date(WallTime)
        /// A delete marker under which nothing is left.
        case lonelyDeleteMarker(Bool)
    }

    package struct Noncurrent: Equatable, Sendable {
        package var days: Int64
        /// How many noncurrent versions stay however old they are.
        package var keptVersions: Int64?
    }

    package var id: String
    package var isEnabled: Bool
    package var filter: LifecycleFilter
    package var expiration: Expiration?
    package var noncurrent: Noncurrent?
    /// Days after which an unfinished upload is aborted.
    package var abortDays: Int64?
}

// MARK: Reading

extension LifecycleFilter {
    /// Reads the filter of a rule, in whichever of its three forms.
    init(ofRule rule: XMLElement) throws(DocumentFault) {
        let bare = try rule.only("Prefix")
        guard let filter = try rule.only("Filter") else {
            guard let bare else { throw .malformedXML }
            self.init(form: .bare, prefix: bare.text)
            return
        }
        guard bare == nil else { throw .malformedXML }
        if let and = try filter.only("And") {
            guard filter.children.count == 1, !and.children.isEmpty else { throw .malformedXML }
            self.init(form: .and)
            try read(and)
        } else {
            guard filter.children.count <= 1 else { throw .malformedXML }
            self.init(form: .single)
            try read(filter)
        }
    }

    private mutating func read(_ element: XMLElement) throws(DocumentFault) {
        for child in element.children
        where !["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"]
            .contains(child.name)
        {
            throw .malformedXML
        }
        prefix = try element.only("Prefix")?.text
        for tag in element.children(named: "Tag") {
            guard let key = tag.text(of: "Key"), !key.isEmpty, let value = tag.text(of: "Value")
            else { throw .malformedXML }
            guard !tags.contains(where: { $0.key == key }) else {
                throw .invalidRequest("Duplicate Tag Keys are not allowed.")
            }
            tags.append(TagSet.Tag(key: key, value: value))
        }
        largerThan = try element.number("ObjectSizeGreaterThan")
        smallerThan = try element.number("ObjectSizeLessThan")
        guard largerThan ?? 0 >= 0, smallerThan ?? 1 > 0 else {
            throw .invalidRequest("A size in a filter must not be negative")
        }
        if let largerThan, let smallerThan, largerThan >= smallerThan {
            throw .invalidRequest(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
        }
    }
}

extension LifecycleRule {
    static let maximumIDCharacters = 255
    static let keptVersions: ClosedRange<Int64> = 1...100
    private static let fields: Set<String> = [
        "ID", "Prefix", "Filter", "Status", "Expiration", "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload", "Transition", "NoncurrentVersionTransition",
    ]

    /// Leaves `id` empty where the document does not name the rule.
    init(_ element: XMLElement) throws(DocumentFault) {
        for child in element.children where !LifecycleRule.fields.contains(child.name) {
            throw .malformedXML
        }
        id = try element.only("ID")?.text ?? ""
        guard id.count <= LifecycleRule.maximumIDCharacters else {
            throw .invalidArgument("ID length should not exceed allowed limit of 255")
        }
        switch try element.only("Status")?.text {
        case "Enabled": isEnabled = true
        case "Disabled": isEnabled = false
        default: throw .malformedXML
        }
        filter = try LifecycleFilter(ofRule: element)
        expiration = try element.only("Expiration").map(LifecycleRule.expiration)
        noncurrent = try element.only("NoncurrentVersionExpiration").map(LifecycleRule.noncurrent)
        abortDays = try element.only("AbortIncompleteMultipartUpload").map(LifecycleRule.abortDays)
        try refuseTransitions(element)
        try checkCombination()
    }

    private static func expiration(_ element: XMLElement) throws(DocumentFault) -> Expiration {
        let days = try element.number("Days")
        let date = try element.only("Date")
        let marker = try element.flag("ExpiredObjectDeleteMarker")
        switch (days, date, marker) {
        case (let days?, nil, nil):
            guard days > 0, days <= Int64(Int32.max) else {
                throw .invalidArgument(
                    "'Days' for Expiration action must be a positive integer")
            }
            return .days(days)
        case (nil, let date?, nil):
            guard let time = WallTime(iso8601: date.trimmed) else { throw .malformedXML }
            guard time.milliseconds % 86_400_000 == 0 else {
                throw .invalidArgument("'Date' must be at midnight GMT")
            }
            return .date(time)
        case (nil, nil, let marker?): return .lonelyDeleteMarker(marker)
        default: throw .malformedXML
        }
    }

    private static func noncurrent(_ element: XMLElement) throws(DocumentFault) -> Noncurrent {
        guard let days = try element.number("NoncurrentDays") else { throw .malformedXML }
        guard days > 0, days <= Int64(Int32.max) else {
            throw .invalidArgument(
                "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive "
                    + "integer")
        }
        let kept = try element.number("NewerNoncurrentVersions")
        guard kept.map(keptVersions.contains) ?? true else {
            throw .invalidArgument(
                "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be "
                    + "between 1 and 100")
        }
        return Noncurrent(days: days, keptVersions: kept)
    }

    private static func abortDays(_ element: XMLElement) throws(DocumentFault) -> Int64 {
        guard let days = try element.number("DaysAfterInitiation") else { throw .malformedXML }
        guard days > 0, days <= Int64(Int32.max) else {
            throw .invalidArgument(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a "
                    + "positive integer")
        }
        return days
    }

    /// There is one storage class, so that nothing can go to another.
    private func refuseTransitions(_ element: XMLElement) throws(DocumentFault) {
        for name in ["Transition", "NoncurrentVersionTransition"] {
            for transition in element.children(named: name) {
                guard transition.child("StorageClass") != nil else { throw .malformedXML }
                throw DocumentFault(
                    "InvalidStorageClass", 400,
                    "The storage class you specified is not valid: there is only STANDARD here")
            }
        }
    }

    private func checkCombination() throws(DocumentFault) {
        guard expiration != nil || noncurrent != nil || abortDays != nil else {
            throw .invalidRequest("At least one action needs to be specified in a rule")
        }
        let hasSizes = filter.largerThan != nil || filter.smallerThan != nil
        if case .lonelyDeleteMarker = expiration, !filter.tags.isEmpty {
            throw .invalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags.")
        }
        if abortDays != nil, !filter.tags.isEmpty {
            throw .invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
        }
        if abortDays != nil, hasSizes {
            throw .invalidRequest(
                "AbortIncompleteMultipartUpload cannot be specified with Object Size.")
        }
    }
}

// MARK: Writing

extension LifecycleRule {
    func write(to xml: inout XMLWriter) {
        xml.element("Rule") { xml in
            if let expiration {
                xml.element("Expiration") { xml in
                    switch expiration {
                    case .days(let days): xml.element("Days", days)
                    case .date(let date): xml.element("Date", date.rfc3339)
                    case .lonelyDeleteMarker(let flag):
                        xml.element("ExpiredObjectDeleteMarker", flag)
                    }
                }
            }
            xml.element("ID", id)
            filter.write(to: &xml)
            xml.element("Status", isEnabled ? "Enabled" : "Disabled")
            if let noncurrent {
                xml.element("NoncurrentVersionExpiration") { xml in
                    xml.element("NoncurrentDays", noncurrent.days)
                    if let kept = noncurrent.keptVersions {
                        xml.element("NewerNoncurrentVersions", kept)
                    }
                }
            }
            if let abortDays {
                xml.element("AbortIncompleteMultipartUpload") {
                    $0.element("DaysAfterInitiation", abortDays)
                }
            }
        }
    }
}

extension LifecycleFilter {
    fileprivate func write(to xml: inout XMLWriter) {
        switch form {
        case .bare: xml.element("Prefix", prefix ?? "")
        case .single: xml.element("Filter") { writeParts(to: &$0) }
        case .and: xml.element("Filter") { $0.element("And") { writeParts(to: &$0) } }
        }
    }

    private func writeParts(to xml: inout XMLWriter) {
        if let prefix { xml.element("Prefix", prefix) }
        for tag in tags {
            xml.element("Tag") { xml in
                xml.element("Key", tag.key)
                xml.element("Value", tag.value)
            }
        }
        if let largerThan { xml.element("ObjectSizeGreaterThan", largerThan) }
        if let smallerThan { xml.element("ObjectSizeLessThan", smallerThan) }
    }
}
