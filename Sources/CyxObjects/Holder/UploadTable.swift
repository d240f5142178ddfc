internal import CyxCore
internal import CyxCrypto
internal import CyxStorage

/// The shard files that a holder is being sent: how far each is, and its hash so far. A machine.
struct UploadTable {
    /// Files that may be under way at once; each has up to 150 KB of hash tree and of bytes that do
    /// not fill a piece yet.
    static let capacity = 512

    /// What has come of a file.
    struct Progress: Sendable {
        var byteCount = 0
        var tree = ShardTree.Builder()
        /// Bytes behind the last whole piece.
        var rest: [UInt8] = []
        /// When the first piece was put: the file is durable only if nothing since then was lost.
        var epoch: WriteEpoch?

        var storedPieces: UInt32 { UInt32((byteCount - rest.count) / ShardFile.pieceBytes) }

        /// Takes more bytes; returns the pieces that are whole now, all of them with `isLast`.
        mutating func take(_ data: [UInt8], isLast: Bool) -> [[UInt8]] {
            tree.update(data)
            byteCount += data.count
            if rest.isEmpty, data.count <= ShardFile.pieceBytes, isLast {
                return data.isEmpty ? [] : [data]
            }
            var pieces: [[UInt8]] = []
            var start = 0
            // Pieces are cut from `data` itself, but for the one that was begun before.
            if !rest.isEmpty {
                start = min(ShardFile.pieceBytes - rest.count, data.count)
                rest += data[..<start]
                guard rest.count == ShardFile.pieceBytes || isLast else { return [] }
                pieces.append(rest)
            }
            while data.count - start >= ShardFile.pieceBytes || (isLast && start < data.count) {
                let end = min(start + ShardFile.pieceBytes, data.count)
                pieces.append(Array(data[start..<end]))
                start = end
            }
            rest = Array(data[start...])
            return pieces
        }
    }

    struct Upload {
        var writer: PeerID
        var progress: Progress
        /// A request is writing right now.
        var isBusy: Bool
        /// To be dropped as soon as it is not busy any more.
        var isDoomed = false
        var touched: Instant
    }

    private(set) var uploads: [ShardID: Upload] = [:]

    enum Claim {
        /// Go on and write behind this.
        case granted(Progress)
        case refused(ShardRefusal)
    }

    /// Claims the file for one request that writes at `offset`. At offset 0 a file begins anew.
    mutating func claim(
        _ shard: ShardID, offset: Int, writer: PeerID, now: Instant
    ) -> Claim {
        if let upload = uploads[shard] {
            guard !upload.isBusy else { return .refused(.busy) }
            if offset > 0 {
                guard upload.writer == writer, upload.progress.byteCount == offset else {
                    return .refused(.outOfOrder)
                }
                // The bytes move out and come back, so that they are never copied.
                uploads[shard] = Upload(
                    writer: writer, progress: Progress(), isBusy: true, touched: now)
                return .granted(upload.progress)
            }
        } else {
            guard offset == 0 else { return .refused(.outOfOrder) }
            guard uploads.count < UploadTable.capacity else { return .refused(.busy) }
        }
        uploads[shard] = Upload(
            writer: writer, progress: Progress(), isBusy: true, touched: now)
        return .granted(Progress())
    }

    /// The claimed request has brought the file this far. False if it was to be dropped meanwhile:
    /// then it is gone from here, and its pieces have to go too.
    mutating func wrote(_ shard: ShardID, _ progress: Progress) -> Bool {
        guard uploads[shard]?.isDoomed == false else {
            uploads[shard] = nil
            return false
        }
        uploads[shard]?.progress = progress
        uploads[shard]?.isBusy = false
        return true
    }

    /// Gives a file up. True if its pieces can go now; a busy one goes when its request ends.
    mutating func drop(_ shard: ShardID) -> Bool {
        guard uploads[shard]?.isBusy == true else {
            uploads[shard] = nil
            return true
        }
        uploads[shard]?.isDoomed = true
        return false
    }

    /// Gives up all files of a segment.
    mutating func drop(_ segment: SegmentID) {
        for shard in uploads.keys.filter({ $0.segment == segment }).sorted() { _ = drop(shard) }
    }

    /// The file is finished, or given up.
    mutating func remove(_ shard: ShardID) {
        uploads[shard] = nil
    }

    /// Takes out the files that nobody has written to since `limit`, in a stable order.
    mutating func expire(before limit: Instant) -> [ShardID] {
        let old = uploads.filter { !$0.value.isBusy && $0.value.touched < limit }.map(\.key)
            .sorted()
        for shard in old { uploads[shard] = nil }
        return old
    }
}
