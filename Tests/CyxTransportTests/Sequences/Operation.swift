import CyxCore

@testable import CyxTransport

/// One thing that happens to a few endpoints and the network between them.
enum Operation: CustomStringConvertible {
    case call(from: Int, to: Int, size: Int, timeout: Int64)
    /// Gives up the call that was made so many calls ago.
    case cancel(back: Int)
    case datagram(from: Int, to: Int, size: Int)
    case faults(LinkFaults)
    /// Nothing gets from one to the other any more, though perhaps back.
    case block(from: Int, to: Int)
    case unblock
    /// Lets milliseconds pass.
    case pass(Int64)
    /// The monotonic clock leaps ahead: everything under way is late.
    case jump(Int64)
    /// The wall clock is set, by milliseconds.
    case setWall(Int64)
    /// The peer's address changes under it, as behind a NAT.
    case move(Int)
    /// The process ends without a word, and comes back without a memory.
    case crash(Int)
    case start(Int)
    /// The process ends in order, and another takes its place.
    case replace(Int)

    var description: String {
        switch self {
        case .call(let from, let to, let size, let timeout):
            "call(\(from)→\(to), \(size) B, \(timeout) ms)"
        case .cancel(let back): "cancel(\(back))"
        case .datagram(let from, let to, let size): "datagram(\(from)→\(to), \(size) B)"
        case .faults(let faults):
            "faults(loss \(faults.loss), twice \(faults.duplication), flip \(faults.corruption), "
                + "delay \(faults.delay / 1_000_000) + \(faults.jitter / 1_000_000) ms, "
                + "rate \(faults.rate))"
        case .block(let from, let to): "block(\(from)→\(to))"
        case .unblock: "unblock"
        case .pass(let milliseconds): "pass(\(milliseconds) ms)"
        case .jump(let milliseconds): "jump(\(milliseconds) ms)"
        case .setWall(let milliseconds): "setWall(\(milliseconds) ms)"
        case .move(let node): "move(\(node))"
        case .crash(let node): "crash(\(node))"
        case .start(let node): "start(\(node))"
        case .replace(let node): "replace(\(node))"
        }
    }

    /// A sequence of `count` operations among `nodes` endpoints.
    static func sequence(_ count: Int, nodes: Int, seed: UInt64) -> [Operation] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Operation.random(nodes: nodes, using: &random) }
    }

    private static func random(
        nodes: Int, using random: inout SeededGenerator
    ) -> Operation {
        func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
        let from = below(nodes)
        let to = (from + 1 + below(nodes - 1)) % nodes
        switch below(100) {
        case ..<38:
            let sizes = [0, 1, 20, 900, 5000, 20_000, 70_000, 300_000]
            return .call(
                from: from, to: to, size: sizes[below(sizes.count)] + below(300),
                timeout: Int64(100 + below(8000)))
        case ..<42: return .cancel(back: below(6))
        case ..<49: return .datagram(from: from, to: to, size: 8 + below(1000))
        case ..<56: return .faults(LinkFaults.random(using: &random))
        case ..<58: return .block(from: from, to: to)
        case ..<64: return .unblock
        case ..<90: return .pass(Int64(below(2) == 0 ? below(40) : below(1500)))
        case ..<92: return .jump(Int64(below(3) == 0 ? 40_000 : below(3000)))
        case ..<94: return .setWall(Int64(below(1_200_000) - 600_000))
        case ..<96: return .move(from)
        case ..<97: return .crash(from)
        case ..<99: return .start(from)
        default: return .replace(from)
        }
    }
}

extension LinkFaults {
    /// From a good link to one that hardly carries anything.
    fileprivate static func random(using random: inout SeededGenerator) -> LinkFaults {
        func below(_ bound: Int64) -> Int64 { Int64.random(in: 0..<bound, using: &random) }
        var faults = LinkFaults()
        if below(2) > 0 { faults.loss = UInt64(below(below(4) == 0 ? 300 : 60)) }
        if below(3) == 0 { faults.duplication = UInt64(below(200)) }
        if below(4) == 0 { faults.corruption = UInt64(below(100)) }
        faults.delay = (below(4) == 0 ? below(300) : 1 + below(20)) * 1_000_000
        if below(2) == 0 { faults.jitter = below(60) * 1_000_000 }
        if below(4) == 0 { faults.rate = 200_000 + below(5_000_000) }
        return faults
    }
}
