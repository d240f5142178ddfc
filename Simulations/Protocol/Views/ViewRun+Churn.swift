import CyxCore
import CyxCrypto
import CyxOverlay

/// Members that come and go, and who notices.
extension ViewRun {
    /// What became of the deaths of watched members.
    struct Detection {
        /// Seconds until a watcher knew, for each watcher of each member that went.
        var seconds: [Double] = []
        /// Watchers that did not get to know of a death that is older than `patience`.
        var missed = 0
        /// Members that were held dead while they were there.
        var falseDeaths = 0

        /// A death that is not known by then was not noticed.
        static let patience = Duration.seconds(30)
    }

    /// Another comes so long after one has gone.
    private static let pause = Duration.seconds(40)

    mutating func scheduleCrash(_ index: Int, _ time: Int64) {
        guard stay != ViewRun.never else { return }
        let delay = Int64.random(in: 0...stay.nanoseconds * 2, using: &generator)
        heap.schedule(at: time + delay, kind: Kind.crash.rawValue, subject: index)
    }

    mutating func crash(_ index: Int, _ time: Int64) {
        guard !isOff[index] else { return }
        isOff[index] = true
        let peer = machines[index].localPeer
        let watchers = machines.indices.filter {
            !isOff[$0] && machines[$0].state(of: peer) == .alive
                && machines[$0].watchedPeers.contains(peer)
        }
        departures[index] = (time, Set(watchers))
        // Who is off does not find out any more.
        for other in departures.keys { departures[other]?.watchers.remove(index) }
        heap.schedule(
            at: time + ViewRun.pause.nanoseconds, kind: Kind.returning.rawValue, subject: index)
    }

    /// Somebody new, who knows one other member, in the place of the one that went.
    mutating func comeBack(_ index: Int, _ time: Int64) {
        close(index, at: time)
        isOff[index] = false
        let now = Instant(nanoseconds: time)
        let statement = MemberStatement.sign(
            machines[index].own.info, incarnation: machines[index].own.incarnation + 1,
            key: keys[index], network: NetworkID(.zero))
        machines[index] = MembershipMachine(
            own: statement, timings: .production, limits: machines[index].limits,
            seed: generator.next(), now: now)
        guard
            let other = machines.indices.filter({ !isOff[$0] && $0 != index })
                .randomElement(using: &generator)
        else { return }
        if machines[other].isPartial { machines[index].becomePartial() }
        var content = GossipContent()
        content.statements = [statement]
        post(
            Mail(
                index, other, .compare(machines[index].versions()), deadline: .max, content), time)
        scheduleCrash(index, time)
        pump(index, time)
    }

    mutating func note(_ index: Int, _ peer: PeerID, _ state: MemberState, _ time: Int64) {
        guard state == .dead, let subject = indices[peer] else { return }
        guard isOff[subject] else {
            detection.falseDeaths += 1
            return
        }
        guard let departure = departures[subject],
            departures[subject]?.watchers.remove(index) != nil
        else { return }
        detection.seconds.append(Double(time - departure.at) / 1e9)
    }

    /// Adds up who has not noticed.
    mutating func close(at time: Int64) {
        for index in departures.keys { close(index, at: time) }
    }

    private mutating func close(_ index: Int, at time: Int64) {
        guard let departure = departures.removeValue(forKey: index),
            time - departure.at >= Detection.patience.nanoseconds
        else { return }
        detection.missed += departure.watchers.count
    }

    /// A helper probes for another: who is there answers, of who is not the helper says so within
    /// four fifths of the asker's time.
    mutating func help(
        _ helper: Int, _ asker: Int, _ probe: UInt64, _ target: PeerID, deadline: Int64,
        _ time: Int64
    ) {
        guard let subject = indices[target], machines[helper].isReachable(target) else {
            respond(helper, asker, probe, reached: false, time)
            return
        }
        // The helper's probe and its answer.
        post(Mail(helper, subject, .gossip, deadline: .max, GossipContent()), time)
        guard isOff[subject] else {
            post(Mail(subject, helper, .gossip, deadline: .max, GossipContent()), time)
            let trip = Int64(network.roundTrip(helper, subject) * 1e6)
            respond(helper, asker, probe, reached: true, time + trip)
            return
        }
        respond(helper, asker, probe, reached: false, time + (deadline - time) * 4 / 5)
    }

    private mutating func respond(
        _ helper: Int, _ asker: Int, _ probe: UInt64, reached: Bool, _ time: Int64
    ) {
        let content = machines[helper].takeGossip(for: machines[asker].localPeer)
        post(
            Mail(helper, asker, .response(probe, reached: reached), deadline: .max, content), time)
    }
}
