internal import CISAL
internal import Synchronization

extension ReedSolomon {
    /// Makes the shards `indices`, data or parity, from any k of `shards`, one after the other.
    ///
    /// `shards` names every shard of the code, nil where one is missing. The first k that are there
    /// are read, so put no shard in whose bytes were not checked. `output` has room for exactly the
    /// shards asked for; they appear in the order of `indices`, which are distinct.
    package func rebuild(
        _ indices: [Int], from shards: [[UInt8]?], into output: UnsafeMutableRawBufferPointer
    ) throws(ErasureError) {
        let (survivors, size) = try check(shards)
        for index in indices where !(0..<shardCount).contains(index) {
            throw .noSuchShard(index: index)
        }
        precondition(Set(indices).count == indices.count, "each shard is asked for once")
        precondition(output.count == indices.count * size, "the shards fill output")
        let base = output.baseAddress
        try rebuild(
            indices, from: shards, survivors: survivors, size: size,
            outputs: indices.indices.map { base?.advanced(by: $0 * size) })
    }

    /// The shards `indices` made from any k of `shards`.
    package func rebuild(
        _ indices: [Int], from shards: [[UInt8]?]
    ) throws(ErasureError) -> [[UInt8]] {
        let size = try check(shards).size
        var output = [UInt8](repeating: 0, count: indices.count * size)
        try withMutableBytes(&output) { (raw) throws(ErasureError) in
            try rebuild(indices, from: shards, into: raw)
        }
        return indices.indices.map { Array(output[$0 * size..<($0 + 1) * size]) }
    }

    /// The first `length` bytes of the data, from any k of `shards`.
    package func decode(_ shards: [[UInt8]?], length: Int) throws(ErasureError) -> [UInt8] {
        let (survivors, size) = try check(shards)
        guard length >= 0, length <= size * dataShards else {
            throw .tooShort(length: length, capacity: size * dataShards)
        }
        let needed = size == 0 ? 0 : (length + size - 1) / size
        var data = [UInt8](repeating: 0, count: needed * size)
        try withMutableBytes(&data) { (raw) throws(ErasureError) in
            var missing: [Int] = []
            var outputs: [UnsafeMutableRawPointer?] = []
            for index in 0..<needed {
                let place = UnsafeMutableRawBufferPointer(
                    rebasing: raw[index * size..<(index + 1) * size])
                if let shard = shards[index] {
                    place.copyBytes(from: shard)
                } else {
                    missing.append(index)
                    outputs.append(place.baseAddress)
                }
            }
            try rebuild(
                missing, from: shards, survivors: survivors, size: size, outputs: outputs)
        }
        data.removeLast(data.count - length)
        return data
    }

    /// The first k shards that are there, and the size that all have.
    private func check(_ shards: [[UInt8]?]) throws(ErasureError) -> (survivors: [Int], size: Int) {
        guard shards.count == shardCount else {
            throw .wrongShardCount(expected: shardCount, actual: shards.count)
        }
        let present = shards.indices.filter { shards[$0] != nil }
        guard present.count >= dataShards else {
            throw .tooFewShards(available: present.count, needed: dataShards)
        }
        let size = shards[present[0]]?.count ?? 0
        for index in present {
            let actual = shards[index]?.count ?? 0
            guard actual == size else {
                throw .wrongShardSize(index: index, expected: size, actual: actual)
            }
        }
        return (Array(present.prefix(dataShards)), size)
    }

    private func rebuild(
        _ indices: [Int], from shards: [[UInt8]?], survivors: [Int], size: Int,
        outputs: [UnsafeMutableRawPointer?]
    ) throws(ErasureError) {
        guard !indices.isEmpty, size > 0 else { return }
        let decoder = decoder(survivors: survivors, targets: indices)
        // Tables are in ascending order of target, whatever order was asked for.
        let order = indices.indices.sorted { indices[$0] < indices[$1] }
        withPointers(to: survivors.map { shards[$0] ?? [] }) { inputs in
            ReedSolomon.multiply(
                tables: decoder.tables, shardSize: size, inputs: inputs,
                outputs: order.map { outputs[$0] })
        }
    }

    /// The decoder of this pattern, from the cache or computed and cached.
    func decoder(survivors: [Int], targets: [Int]) -> Decoder {
        func bits(_ indices: [Int]) -> UInt64 { indices.reduce(0) { $0 | 1 << UInt64($1) } }
        let pattern = Decoder.Pattern(survivors: bits(survivors), targets: bits(targets))
        if let known = decoders.withLock({ $0.decoder(for: pattern) }) { return known }
        let rows = coefficients(survivors: survivors, targets: targets.sorted())
        let decoder = Decoder(
            pattern: pattern, tables: ReedSolomon.tables(rows: rows, columns: dataShards))
        decoders.withLock { cache in
            // Another thread may have computed the same tables meanwhile.
            if cache.decoder(for: pattern) == nil { cache.insert(decoder) }
        }
        return decoder
    }

    /// One row of k coefficients per target: the target as a combination of the survivors.
    private func coefficients(survivors: [Int], targets: [Int]) -> [UInt8] {
        let k = dataShards
        var square = survivors.flatMap { matrix[$0 * k..<($0 + 1) * k] }
        var inverse = [UInt8](repeating: 0, count: k * k)
        let failed = gf_invert_matrix(&square, &inverse, Int32(k))
        precondition(failed == 0, "every k rows of a Cauchy code are independent")
        return targets.flatMap { target -> [UInt8] in
            if target < k { return Array(inverse[target * k..<(target + 1) * k]) }
            return (0..<k).map { column in
                (0..<k).reduce(0) { sum, index in
                    sum ^ gf_mul(matrix[target * k + index], inverse[index * k + column])
                }
            }
        }
    }
}

/// Calls `body` with the mutable bytes of `array`, keeping the type of what it throws.
private func withMutableBytes(
    _ array: inout [UInt8],
    _ body: (UnsafeMutableRawBufferPointer) throws(ErasureError) -> Void
) throws(ErasureError) {
    var failure: ErasureError?
    array.withUnsafeMutableBytes { raw in
        do throws(ErasureError) { try body(raw) } catch { failure = error }
    }
    if let failure { throw failure }
}

/// Calls `body` with a pointer to the bytes of each array, which stay valid until it returns.
private func withPointers(to arrays: [[UInt8]], _ body: ([UnsafeRawPointer?]) -> Void) {
    func collect(_ pointers: [UnsafeRawPointer?]) {
        guard pointers.count < arrays.count else { return body(pointers) }
        arrays[pointers.count].withUnsafeBytes { collect(pointers + [$0.baseAddress]) }
    }
    collect([])
}
