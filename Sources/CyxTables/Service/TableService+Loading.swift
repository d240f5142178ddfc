internal import CyxCore

/// What a store says of partitions when it is opened.
extension TableService {
    /// The values of all keys that begin with `tag`.
    static func load<Value>(
        _ store: any KeyValueStore, _ tag: UInt8,
        _ decode: ([UInt8]) throws(DecodingError) -> Value
    ) throws(StoreError) -> [Value] {
        var values: [Value] = []
        var from = [tag]
        while true {
            let page = try store.scan(
                from: from, to: [tag + 1], limit: TableMessageLimits.pageRows)
            for entry in page {
                do {
                    values.append(try decode(entry.value))
                } catch {
                    throw .corrupt(detail: "the state of a partition")
                }
            }
            guard page.count == TableMessageLimits.pageRows, let last = page.last else {
                return values
            }
            from = StorageKey.next(after: last.key)
        }
    }
}
