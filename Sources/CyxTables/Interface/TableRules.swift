/// Rules of consistency (`decisions.md` A3, A5–A7) that a simulation turns off one at a time, to show
/// that each is needed: `simulate rules` then finds the invariant that breaks without it. Programs
/// that serve keep them all.
package enum TableRule: String, CaseIterable, Sendable {
    /// A new member gathers state from a quorum of members of the view before, not from one (A3).
    case pullsFromQuorum
    /// A member that has precommitted or gives its state away serves its view no more (A3). Both
    /// at once: whoever is pulled from is fenced too, so that neither is missed alone.
    case seals
    /// A vote is durable before it is answered (A3).
    case votesDurably
    /// A new member takes over the highest promise as well as the highest accepted ballot (A3).
    case pullsPromises
    /// At most n − q members change at once (A3).
    case boundsChanges
    /// A quorum of precommits decides, not fewer (A3).
    case decidesByQuorum
    /// A quorum decides that a partition splits, although no seat changes: at the same time it may
    /// decide on another successor (A2, A3).
    case splitsByQuorum
    /// Whoever has precommitted a successor votes for no other (A3).
    case locksVotes
    /// Only members that hold all of the view's state answer for it (A3).
    case servesWhenSynced
    /// A wiped store is another member than it was (A5).
    case tellsStoresApart
    /// Promises and accepted values are durable before they are answered (A6).
    case acceptsDurably
    /// A member promises and accepts nothing below what it has promised (A6).
    case ordersBallots
    /// A one-round read needs a quorum of identical replies, not the highest of a quorum (A6).
    case readsFromQuorum
    /// Each of them accepted in this view, or with nothing promised beyond it (A6).
    case readsSettledRows
    /// A ballot carries a nonce, so that no two proposals of one peer are taken for one (A6).
    case drawsNonces
    /// A first value that is written without a promise has one writer alone (A6).
    case createsFreshNames
    /// A round that failed half-way is looked for before the change is made again (A6).
    case remembersAttempts
    /// A register that a member does not have takes no ballot up to the partition's floor (A6).
    case keepsFloors
    /// A deleted register is forgotten only after all members accepted that it is deleted (A6).
    case removesWhenAllAccepted
    /// What copies of a merge row differ in is on a quorum before it is told (A6).
    case repairsMergeRows
    /// Stamps more than 10 s ahead are rejected and never advance a clock (A7).
    case boundsClocks
}
