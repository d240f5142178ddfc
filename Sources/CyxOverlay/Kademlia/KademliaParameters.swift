/// The bounds of the routing table and of lookups (architecture §7).
package struct KademliaParameters: Sendable {
    /// k: contacts of a bucket and results of a lookup.
    package var bucketSize = 20
    /// Contacts in one answer: more than k, so that the k closest that live are found although some
    /// of the closest have died unnoticed.
    package var answerSize = 40
    /// α: requests in flight at first, and at most; on each path. Five rather than Kademlia's three
    /// find a record 10 % sooner, for 12 % more requests.
    package var concurrency = (least: 5, most: 10)
    package var diversity = DiversityRule.zones
    package var diversityLimits = DiversityLimits()
    /// Failures in a row after which a contact makes room.
    package var failureLimit = 2
    /// Requests of one lookup.
    package var lookupRequests = 240
    /// d: paths of a lookup before a write that share no peer (Baumgart and Mies 2007, §4.4).
    package var paths = 3
    /// Contacts of its target's neighbourhood that a lookup asks at most.
    package var regionSize = 120
    /// How many more of the contacts that one answer named may fail than answer before the others
    /// that it named are no longer asked.
    package var sponsorFailures = 8
    /// How long the first request may be silent before others are asked in its place; it may still
    /// answer. Later ones go by `AnswerTimes`.
    package var patience = Duration.milliseconds(500)
    package init() {}
}
