internal import CyxCore

/// Which version of a key somebody asks for.
enum VersionSelector: Equatable, Sendable {
    case current
    /// The one that was written while its bucket kept none.
    case null
    /// One with an ID of its own: its write.
    case write([UInt8])

    /// `text`: see `ObjectInfo.versionID`; nil: the current one. Throws `noSuchVersion` for what can
    /// name none.
    init(_ text: String?) throws(ObjectError) {
        switch text {
        case nil: self = .current
        case "null"?: self = .null
        case let text?:
            guard let write = Hex.decode(text), write.count == VersionID.writeBytes else {
                throw .noSuchVersion
            }
            self = .write(write)
        }
    }
}

extension BucketHandle {
    /// How a version is named in this bucket (`ObjectInfo.versionID`).
    func versionID(of head: HeadRow) -> String? {
        if head.named { return Hex.encode(head.write) }
        return settings.versioning == .never ? nil : "null"
    }
}
