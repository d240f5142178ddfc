internal import CyxCore

/// Cuts a sorted run of versions into a page, as `ListingPage` does with keys. Pure.
struct VersionPage {
    /// Indices of the versions given.
    var versions: [Int] = []
    var commonPrefixes: [String] = []
    var next: (key: [UInt8], version: Int?)?

    /// `keys`: the key of each version in UTF-8, ascending, the newest of each key first.
    /// `skipped`: how many of them at the front the request has had already.
    init(keys: [[UInt8]], skipped: Int, request: VersionListRequest) {
        let prefix = Array(request.prefix.utf8)
        let start = Array(request.startAfter.utf8)
        let delimiter = request.delimiter.map { Array($0.utf8) } ?? []
        guard request.limit > 0 else { return }
        var index = skipped
        var last: (key: [UInt8], version: Int?)?
        while index < keys.count {
            let key = keys[index]
            guard key.starts(with: prefix) else {
                guard Bytes.precede(key, prefix) else { break }
                index += 1
                continue
            }
            let common = ListingPage.commonPrefix(of: key, after: prefix.count, delimiter)
            if let common, start.starts(with: common) {
                index += 1
                continue
            }
            guard versions.count + commonPrefixes.count < request.limit else {
                next = last
                break
            }
            if let common {
                commonPrefixes.append(String(decoding: common, as: UTF8.self))
                last = (common, nil)
                while index < keys.count, keys[index].starts(with: common) { index += 1 }
            } else {
                versions.append(index)
                last = (key, index)
                index += 1
            }
        }
    }
}
