internal import CyxCore
internal import CyxOverlay

/// How quickly each peer has answered requests about tables.
struct PeerAnswerTimes {
    /// Peers that are remembered; beyond these all are forgotten and measured anew.
    static let peersMax = 4096
    /// How long to wait for a peer of which nothing is known before others are asked too.
    static let firstPatience = Duration.milliseconds(250)

    private var times: [PeerID: AnswerTimes] = [:]

    subscript(peer: PeerID) -> AnswerTimes {
        times[peer] ?? AnswerTimes(initial: PeerAnswerTimes.firstPatience)
    }

    mutating func record(_ time: Duration, of peer: PeerID) {
        if times.count >= PeerAnswerTimes.peersMax, times[peer] == nil { times = [:] }
        var peerTimes = self[peer]
        peerTimes.record(time)
        times[peer] = peerTimes
    }
}
