/// A 256-bit identifier with a meaning of its own, so that a peer is never taken for a segment.
package protocol Identifier: Hashable, Comparable, Sendable, CustomStringConvertible {
    var digest: Digest { get }
    init(_ digest: Digest)
}

extension Identifier {
    package static func < (left: Self, right: Self) -> Bool { left.digest < right.digest }
    package var bytes: [UInt8] { digest.bytes }
    package var hex: String { digest.hex }
    package var description: String { digest.shortHex }

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: [UInt8]) {
        guard let digest = Digest(bytes: bytes) else { return nil }
        self.init(digest)
    }
}

/// A running `cyxpeer`: BLAKE3-256 of its Ed25519 public key.
package struct PeerID: Identifier {
    package var digest: Digest
    package init(_ digest: Digest) { self.digest = digest }
}

/// The peers that share genesis parameters and, if private, a pre-shared key.
package struct NetworkID: Identifier {
    package var digest: Digest
    package init(_ digest: Digest) { self.digest = digest }
}

/// An owner of data: BLAKE3-256 of the account's first signing key.
package struct AccountID: Identifier {
    package var digest: Digest
    package init(_ digest: Digest) { self.digest = digest }
}

/// One life of one store; a wiped or restored store gets a new one (`decisions.md` A5).
package struct StoreID: Identifier {
    package var digest: Digest
    package init(_ digest: Digest) { self.digest = digest }
}

/// Up to 64 MiB of consecutive chunks that lie together on the same peers.
package struct SegmentID: Identifier {
    package var digest: Digest
    package init(_ digest: Digest) { self.digest = digest }
}
