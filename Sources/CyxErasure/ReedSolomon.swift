internal import CISAL
internal import Synchronization

/// Systematic Reed–Solomon over GF(2^8), polynomial 0x11d: any k of k + m shards give the data back.
///
/// Shard i < k is the i-th piece of the data as it is; parity row k + r, column c of the Cauchy
/// matrix is the inverse of (k + r) xor c (Blömer et al. 1995; `gf_gen_cauchy1_matrix` of ISA-L, which
/// does the arithmetic). The object is immutable apart from a bounded cache of decoding tables.
package final class ReedSolomon: Sendable {
    package static let maximumDataShards = 32
    package static let maximumParityShards = 16

    /// k.
    package let dataShards: Int
    /// m.
    package let parityShards: Int
    /// k + m rows of k coefficients, the first k of them the identity.
    let matrix: [UInt8]
    private let encodingTables: [UInt8]
    let decoders = Mutex(DecoderCache())

    /// Throws unless there are 1…32 data shards and 0…16 parity shards.
    package init(dataShards: Int, parityShards: Int) throws(ErasureError) {
        guard (1...ReedSolomon.maximumDataShards).contains(dataShards),
            (0...ReedSolomon.maximumParityShards).contains(parityShards)
        else {
            throw .unsupportedShape(dataShards: dataShards, parityShards: parityShards)
        }
        self.dataShards = dataShards
        self.parityShards = parityShards
        var matrix = [UInt8](repeating: 0, count: (dataShards + parityShards) * dataShards)
        gf_gen_cauchy1_matrix(&matrix, Int32(dataShards + parityShards), Int32(dataShards))
        encodingTables = ReedSolomon.tables(
            rows: Array(matrix[(dataShards * dataShards)...]), columns: dataShards)
        self.matrix = matrix
    }

    /// k + m.
    package var shardCount: Int { dataShards + parityShards }

    /// Bytes of each shard of `length` bytes: the length over k, rounded up.
    package func shardSize(for length: Int) -> Int {
        precondition(length >= 0, "data has no negative length")
        return length / dataShards + (length % dataShards == 0 ? 0 : 1)
    }

    /// Writes the m parity shards of `data`, one after the other.
    ///
    /// `data` is at most k · shardSize bytes and stands for itself with zeros after it, where
    /// shardSize is `parity.count` / m. Only a partial last shard is copied.
    package func encode(_ data: UnsafeRawBufferPointer, into parity: UnsafeMutableRawBufferPointer)
    {
        guard parityShards > 0 else { return precondition(parity.isEmpty, "no parity, no bytes") }
        let size = parity.count / parityShards
        precondition(parity.count == size * parityShards, "parity shards have one size")
        precondition(data.count <= size * dataShards, "the data fits in the data shards")
        guard size > 0 else { return }
        let whole = data.count / size
        let tail = UnsafeRawBufferPointer(rebasing: data[(whole * size)...])
        // The partial shard, and one shard of zeros that stands for every shard past the data.
        let padding = whole == dataShards ? 0 : whole + 1 == dataShards ? 1 : 2
        withUnsafeTemporaryAllocation(byteCount: padding * size, alignment: 64) { scratch in
            scratch.initializeMemory(as: UInt8.self, repeating: 0)
            if padding > 0 { scratch.copyMemory(from: tail) }
            let inputs = (0..<dataShards).map { shard in
                if shard < whole { return data.baseAddress?.advanced(by: shard * size) }
                let offset = shard == whole ? 0 : size
                return UnsafeRawPointer(scratch.baseAddress)?.advanced(by: offset)
            }
            let outputs = (0..<parityShards).map { parity.baseAddress?.advanced(by: $0 * size) }
            ReedSolomon.multiply(
                tables: encodingTables, shardSize: size, inputs: inputs, outputs: outputs)
        }
    }

    /// The m parity shards of `data`.
    package func encodeParity(_ data: [UInt8]) -> [[UInt8]] {
        let size = shardSize(for: data.count)
        var parity = [UInt8](repeating: 0, count: parityShards * size)
        data.withUnsafeBytes { data in
            parity.withUnsafeMutableBytes { encode(data, into: $0) }
        }
        return (0..<parityShards).map { Array(parity[$0 * size..<($0 + 1) * size]) }
    }

    /// All k + m shards of `data`, the last data shards padded with zeros.
    package func encode(_ data: [UInt8]) -> [[UInt8]] {
        let size = shardSize(for: data.count)
        let pieces = (0..<dataShards).map { shard in
            let start = min(shard * size, data.count)
            let piece = data[start..<min(start + size, data.count)]
            return Array(piece) + [UInt8](repeating: 0, count: size - piece.count)
        }
        return pieces + encodeParity(data)
    }

    /// Multiplies the coefficient rows in `tables` with the inputs; every pointer spans `shardSize`.
    static func multiply(
        tables: [UInt8], shardSize: Int, inputs: [UnsafeRawPointer?],
        outputs: [UnsafeMutableRawPointer?]
    ) {
        guard !outputs.isEmpty, shardSize > 0 else { return }
        precondition(shardSize <= Int(Int32.max), "ISA-L counts bytes in 32 bits")
        precondition(tables.count == 32 * inputs.count * outputs.count, "a table per coefficient")
        // ISA-L takes everything through mutable pointers and writes only through the outputs.
        var sources = inputs.map {
            UnsafeMutablePointer(mutating: $0?.assumingMemoryBound(to: UInt8.self))
        }
        var targets = outputs.map { $0?.assumingMemoryBound(to: UInt8.self) }
        tables.withUnsafeBufferPointer { tables in
            ec_encode_data(
                Int32(shardSize), Int32(inputs.count), Int32(outputs.count),
                UnsafeMutablePointer(mutating: tables.baseAddress), &sources, &targets)
        }
    }

    /// ISA-L's expanded tables of a coefficient matrix: 32 bytes per coefficient.
    static func tables(rows: [UInt8], columns: Int) -> [UInt8] {
        guard !rows.isEmpty else { return [] }
        var tables = [UInt8](repeating: 0, count: 32 * rows.count)
        rows.withUnsafeBufferPointer { rows in
            ec_init_tables(
                Int32(columns), Int32(rows.count / columns),
                UnsafeMutablePointer(mutating: rows.baseAddress), &tables)
        }
        return tables
    }
}
