internal import CyxCore

/// Cuts what lies in key order into a page: prefix, delimiter, start and limit as S3 has them (a
/// machine). Whoever feeds it may leave out all that comes before `next`.
///
/// Keys compare by their UTF-8 bytes; Swift's own order and equality of strings is another.
struct ListingPage {
    enum Verdict: Equatable {
        case tell
        /// Told before, by this page or an earlier one, together with others; or the page is full.
        case leaveOut
        /// Stands for all that begin alike.
        case tellGroup
    }

    private let prefix: [UInt8]
    private let start: [UInt8]
    private let delimiter: [UInt8]
    private let limit: Int

    private(set) var commonPrefixes: [String] = []
    /// The last key that was told, of more to come.
    private(set) var marker: [UInt8]?
    /// The least key that matters now; nil: none any more.
    private(set) var next: [UInt8]?
    private var told = 0
    private var last: [UInt8] = []

    /// `startsWithin`: whether some of what the key `start` has is still to be told.
    init(
        prefix: String, start: String, delimiter: String?, limit: Int, startsWithin: Bool = false
    ) {
        self.prefix = Array(prefix.utf8)
        self.start = Array(start.utf8)
        self.delimiter = delimiter.map { Array($0.utf8) } ?? []
        self.limit = limit
        guard limit > 0 else { return }
        let first = startsWithin || self.start.isEmpty ? self.start : self.start + [0]
        next = Bytes.precede(first, self.prefix) ? self.prefix : first
    }

    /// Behind the last key that can be told; nil: all can.
    var end: [UInt8]? { prefix.isEmpty ? nil : Bytes.successor(ofAllWith: prefix) }

    /// Whether something is told of a key. Keys come in order, none before `next`; one may come more
    /// than once.
    mutating func visit(_ key: [UInt8]) -> Verdict {
        guard key.starts(with: prefix) else {
            if Bytes.precede(prefix, key) { next = nil }
            return .leaveOut
        }
        let common = ListingPage.commonPrefix(of: key, after: prefix.count, delimiter)
        if let common, start.starts(with: common) {
            // The page before ended with this group, or within it.
            next = Bytes.successor(ofAllWith: common)
            return .leaveOut
        }
        guard told < limit else {
            marker = last
            next = nil
            return .leaveOut
        }
        told += 1
        guard let common else {
            last = key
            next = key
            return .tell
        }
        commonPrefixes.append(String(decoding: common, as: UTF8.self))
        last = common
        next = Bytes.successor(ofAllWith: common)
        return .tellGroup
    }

    /// The key up to and with the first delimiter behind the prefix.
    private static func commonPrefix(
        of key: [UInt8], after prefix: Int, _ delimiter: [UInt8]
    ) -> [UInt8]? {
        guard !delimiter.isEmpty, key.count >= prefix + delimiter.count else { return nil }
        for start in prefix...key.count - delimiter.count
        where key[start..<start + delimiter.count].elementsEqual(delimiter) {
            return Array(key[..<(start + delimiter.count)])
        }
        return nil
    }
}
