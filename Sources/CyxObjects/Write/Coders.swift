internal import CyxErasure
internal import Synchronization

/// The coders of the process by code: their tables are made once.
enum Coders {
    private static let coders = Mutex<[Redundancy: ReedSolomon]>([:])
    /// There are few codes in use; tables of others are made anew each time.
    private static let capacity = 32

    /// `code` was checked before: `SegmentShape` takes no code that a coder does not.
    static func coder(for code: Redundancy) -> ReedSolomon {
        coders.withLock { coders in
            if let coder = coders[code] { return coder }
            do throws(ErasureError) {
                let coder = try ReedSolomon(
                    dataShards: code.dataShards, parityShards: code.parityShards)
                if coders.count < capacity { coders[code] = coder }
                return coder
            } catch { preconditionFailure("codes are checked where they come in: \(error)") }
        }
    }
}
