package import CyxCore
internal import CyxCrypto

/// Positions that name the account which may write there: custodians, who know no account's secrets,
/// refuse everybody else's rows, so that no member can replace another's heads or cores.
///
/// The second half of a position is a hash of the account and the first half. What an account
/// chooses freely, a random ID or a name's hash, is the first 16 bytes; another account would have
/// to find a second preimage of 16 bytes to fit.
enum OwnedPosition {
    private static let context = Array("cyx owned position v1\0".utf8)

    /// The position of `account` that begins as `free`.
    static func bound(_ free: Digest, to account: AccountID) -> Digest {
        var writer = ByteWriter(capacity: context.count + 3 * 16)
        writer.write(context)
        writer.write(account.digest)
        writer.write(free.word0)
        writer.write(free.word1)
        let hash = BLAKE3.hash(writer.bytes)
        return Digest(free.word0, free.word1, hash.word0, hash.word1)
    }

    static func isOwn(_ position: Digest, of account: AccountID) -> Bool {
        bound(position, to: account) == position
    }
}

extension SegmentID {
    /// A segment of that account: nobody else can sign a core for it. `random`: of which half is
    /// used.
    package static func owned(by account: AccountID, random: Digest) -> SegmentID {
        SegmentID(OwnedPosition.bound(random, to: account))
    }
}
