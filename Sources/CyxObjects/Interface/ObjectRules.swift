/// Rules of objects (`decisions.md` A8, B2, B4) that a simulation turns off one at a time, to show
/// that each is needed: `simulate object-rules` then finds the invariant that breaks without it.
/// Programs that serve keep them all.
package enum ObjectRule: String, CaseIterable, Sendable {
    /// The condition of a put is evaluated inside the compare-and-set that replaces the head, not
    /// before its upload alone (A8).
    case comparesHeads
    /// An upload's register goes from open over completing to done, or to aborted, and no other way
    /// (A8).
    case ordersUploads
    /// A head names the upload that was completed into it, so that a retry finds it (A8).
    case namesUploads
    /// A write is acknowledged with n − ⌊m/2⌋ durable shards, not with k (B2).
    case acknowledgesDurable
    /// A head is written after all that it reaches (B2).
    case writesHeadLast
    /// No zone holds more than its share of a segment (B2).
    case capsZones
    /// A custodian that does not reach a quorum of its view repairs nothing (B4).
    case repairsByQuorum
    /// Only what its holder has signed a receipt for counts as held (B1).
    case provesReceipts
    /// What members without custody bring cannot fill a row of holders: custodians can always write
    /// down what they repair (B4).
    case keepsRoomForRepair
    /// Rows that nobody with the key for them signed are neither stored nor believed (B1).
    case checksSignatures
    /// Parity is what the code makes of the data (B2): left out by a writer that wants holders
    /// blamed for what cannot be decoded.
    case codesParity
    /// How a peer has done is written by its custodians alone (B6).
    case custodiansJudge
    /// Rows of an account are changed, and go, by its permission alone (B1).
    case ownersChange
    /// A holder's entry is struck by itself, by the segment's account or by custodians (B1).
    case ownersStrike
    /// A segment goes only when nothing refers to it, whoever gives up his share of it (B5).
    case sparesNeeded
    /// Each body of a segment that several share has a reference of its own (B5).
    case refersForEachBody
    /// A head is written after its segments are sure to stay (B5).
    case claimsBeforeHeads
}
