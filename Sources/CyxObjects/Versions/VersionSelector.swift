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

    /// The version after which a page of versions begins, of the key whose head that is; nil: it can be
    /// none of that key's.
    func version(named request: VersionListRequest, below head: HeadRow) -> VersionID? {
        let selector: VersionSelector
        do { selector = try VersionSelector(request.startAfterVersion) } catch { return nil }
        let write: [UInt8]
        switch selector {
        case .current: return nil
        case .null: write = head.hasVersion && !head.named ? head.write : head.earlierNull
        case .write(let named):
            // One without an ID is not found by its write.
            guard head.write != named || head.named, head.earlierNull != named else { return nil }
            write = named
        }
        guard !write.isEmpty else { return nil }
        return VersionID(position: keys.position(of: head.key), write: write)
    }
}
