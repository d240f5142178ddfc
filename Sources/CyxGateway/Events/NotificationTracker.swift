internal import CyxCore

/// Makes notifications of what changes in a peer's status (a machine): what endangers data, and when
/// that is over.
struct NotificationTracker: Sendable {
    private struct Seen: Equatable {
        var lost: Int64 = 0
        var atRisk: Int64 = 0
        var degraded: Int64 = 0
        var isFull = false
        var isServing = true
    }

    private var seen: Seen?

    /// A store with less than a hundredth of its space left takes nothing more before long.
    private static let fullShare: Int64 = 100

    mutating func update(_ status: JSONValue) -> [JSONValue] {
        let segments = status["segments"], store = status["store"]
        var now = Seen()
        now.lost = segments?["lost"]?.integer ?? 0
        now.atRisk = segments?["at_risk"]?.integer ?? 0
        now.degraded = segments?["degraded"]?.integer ?? 0
        let allocated = store?["allocated"]?.integer ?? 0
        let left = min(allocated - (store?["used"]?.integer ?? 0), store?["free"]?.integer ?? 0)
        now.isFull = allocated > 0 && left < allocated / NotificationTracker.fullShare
        if case .bool(let isServing)? = status["serving"] { now.isServing = isServing }
        // The first look says how things are, the others what became of them.
        let before = seen ?? Seen()
        seen = now
        var found: [JSONValue] = []
        func tell(_ kind: String, _ text: String, _ count: Int64? = nil) {
            found.append(
                .object([
                    ("kind", .string(kind)), ("text", .string(text)),
                    ("segments", count.map { .integer($0) } ?? .null),
                ]))
        }
        if now.lost > before.lost { tell("objects_lost", "segments cannot be read", now.lost) }
        if now.atRisk > before.atRisk {
            tell("objects_at_risk", "segments bear no further loss, or one", now.atRisk)
        }
        if now.degraded > 0, before.degraded == 0 {
            tell("repair_begun", "segments miss shards", now.degraded)
        }
        let isWhole = now.lost + now.atRisk + now.degraded == 0
        if isWhole, before.lost + before.atRisk + before.degraded > 0 {
            tell("repaired", "all segments that this peer watches are whole")
        }
        if now.isFull != before.isFull {
            tell(
                now.isFull ? "disk_full" : "disk_has_room",
                now.isFull ? "this peer's space is used up" : "this peer has space again")
        }
        if now.isServing != before.isServing {
            tell(
                now.isServing ? "serving" : "not_serving",
                now.isServing ? "this peer serves again" : "this peer has stopped serving")
        }
        return found
    }
}
