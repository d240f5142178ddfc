internal import CyxCore

/// An ordered map from bytes to bytes: a sorted array, enough for the rows of a simulated peer.
struct ByteMap {
    private(set) var keys: [[UInt8]] = []
    private(set) var values: [[UInt8]] = []

    var count: Int { keys.count }

    /// The index of the first key that is not below `key`.
    func lowerBound(_ key: [UInt8]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    subscript(key: [UInt8]) -> [UInt8]? {
        let index = lowerBound(key)
        return index < keys.count && keys[index] == key ? values[index] : nil
    }

    /// Sets or removes (nil) a value and returns the one before.
    mutating func set(_ key: [UInt8], _ value: [UInt8]?) -> [UInt8]? {
        let index = lowerBound(key)
        let exists = index < keys.count && keys[index] == key
        let previous = exists ? values[index] : nil
        if let value {
            if exists {
                values[index] = value
            } else {
                keys.insert(key, at: index)
                values.insert(value, at: index)
            }
        } else if exists {
            keys.remove(at: index)
            values.remove(at: index)
        }
        return previous
    }
}
