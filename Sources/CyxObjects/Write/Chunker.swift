internal import CyxCore

/// Cuts a stream of pieces of any size into chunks of one size. A machine: bytes in, chunks out.
///
/// The last chunk is known as such before it is handed out: the caller finishes a segment with it
/// instead of sending one message more.
package struct Chunker: Sendable {
    /// Objects up to this size, or of unknown size, have chunks of 1 MiB, larger ones of 4 MiB;
    /// an object below 1 MiB is one chunk (ST-03).
    static let largeObjectBytes: UInt64 = 1 << 30

    package static func chunkBytes(forObjectOf size: UInt64?) -> Int {
        guard let size, size > largeObjectBytes else { return 1 << 20 }
        return 4 << 20
    }

    private let chunkBytes: Int
    private var current: [UInt8] = []
    /// Input that came after `current` was full.
    private var surplus: ArraySlice<UInt8> = []
    private var isEnded = false

    package init(chunkBytes: Int) {
        self.chunkBytes = chunkBytes
    }

    /// Whether more input is needed before `next` has something.
    package var needsInput: Bool {
        !isEnded && (current.count < chunkBytes || surplus.isEmpty)
    }

    /// Takes a piece; only while `needsInput`.
    package mutating func append(_ piece: [UInt8]) {
        precondition(needsInput && surplus.isEmpty, "the chunker was not asked for input")
        if current.isEmpty, piece.count <= chunkBytes {
            current = piece
            return
        }
        let missing = chunkBytes - current.count
        current.append(contentsOf: piece.prefix(missing))
        surplus = piece.dropFirst(missing)
    }

    /// Says that no more pieces will come.
    package mutating func end() { isEnded = true }

    /// The next chunk, and whether it is the last; nil when more input is needed or all is out.
    package mutating func next() -> (bytes: [UInt8], isLast: Bool)? {
        guard !needsInput, !current.isEmpty else { return nil }
        let chunk = current
        let taken = surplus.prefix(chunkBytes)
        current = Array(taken)
        surplus = surplus.dropFirst(taken.count)
        if surplus.isEmpty { surplus = [] }
        return (chunk, isEnded && current.isEmpty)
    }
}
