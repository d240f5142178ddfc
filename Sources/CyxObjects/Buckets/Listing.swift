internal import CyxCore

/// Cuts a sorted run of keys into a page: prefix, delimiter, start and limit as S3 has them. Pure.
///
/// Keys compare by their UTF-8 bytes; Swift's own order and equality of strings is another.
struct ListingPage {
    var objects: [Int] = []
    var commonPrefixes: [String] = []
    var nextMarker: String?

    /// `keys`: the UTF-8 of all keys of the bucket, ascending.
    init(keys: [[UInt8]], request: ListRequest) {
        let prefix = Array(request.prefix.utf8)
        let start = Array(request.startAfter.utf8)
        let delimiter = request.delimiter.map { Array($0.utf8) } ?? []
        guard request.limit > 0 else { return }
        var index = ListingPage.firstIndex(in: keys, atLeast: max(prefix, start, by: Bytes.precede))
        var last: [UInt8] = []
        while index < keys.count {
            let key = keys[index]
            guard key.starts(with: prefix) else { break }
            guard key != start else {
                index += 1
                continue
            }
            let common = ListingPage.commonPrefix(of: key, after: prefix.count, delimiter)
            if let common, common == start || Bytes.precede(common, start),
                start.starts(with: common)
            {
                // The page before ended with this group, or within it.
                index = ListingPage.firstIndex(in: keys, after: common)
                continue
            }
            guard objects.count + commonPrefixes.count < request.limit else {
                nextMarker = String(decoding: last, as: UTF8.self)
                break
            }
            if let common {
                commonPrefixes.append(String(decoding: common, as: UTF8.self))
                last = common
                index = ListingPage.firstIndex(in: keys, after: common)
            } else {
                objects.append(index)
                last = key
                index += 1
            }
        }
    }

    /// The key up to and with the first delimiter behind the prefix.
    static func commonPrefix(
        of key: [UInt8], after prefix: Int, _ delimiter: [UInt8]
    ) -> [UInt8]? {
        guard !delimiter.isEmpty, key.count >= prefix + delimiter.count else { return nil }
        for start in prefix...key.count - delimiter.count
        where key[start..<start + delimiter.count].elementsEqual(delimiter) {
            return Array(key[..<(start + delimiter.count)])
        }
        return nil
    }

    private static func firstIndex(in keys: [[UInt8]], atLeast bound: [UInt8]) -> Int {
        partition(keys) { Bytes.precede($0, bound) }
    }

    /// The first key that does not begin with `group`, among those not before it.
    private static func firstIndex(in keys: [[UInt8]], after group: [UInt8]) -> Int {
        partition(keys) { Bytes.precede($0, group) || $0.starts(with: group) }
    }

    /// How many keys at the front are `isBefore`, which holds for a front part of them.
    private static func partition(_ keys: [[UInt8]], _ isBefore: ([UInt8]) -> Bool) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(keys[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func max(
        _ first: [UInt8], _ second: [UInt8], by precede: ([UInt8], [UInt8]) -> Bool
    ) -> [UInt8] {
        precede(first, second) ? second : first
    }
}

/// Order of byte strings.
enum Bytes {
    static func precede(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        first.lexicographicallyPrecedes(second)
    }
}
