package import CyxCore
package import CyxTransport

/// What a peer's NAT does to the addresses of what it sends (RFC 4787 §4.1).
package enum AddressMapping: UInt32, Sendable {
    /// Too few have told.
    case unknown = 0
    /// Others see the address that the socket has.
    case none = 1
    /// Every destination sees the same address and port.
    case endpointIndependent = 2
    /// Destinations see different ports: what one sees is of no use to another.
    case addressDependent = 3
}

/// Where others see this peer's packets come from, out of what they say (a machine). One reporter
/// may lie or sit in the same house, so in an open network an address counts only if reporters in
/// several networks see it, and more of them than see anything else.
package struct ObservedAddresses: Sendable {
    /// Networks whose latest report is kept; the oldest goes first.
    package static let reportsMax = 16
    /// A report counts so long; NATs forget, and providers give out new addresses.
    package static let lifetime = Duration.seconds(600)
    /// Candidates that are told to one that is to be met.
    package static let candidatesMax = 4

    private struct Report: Sendable {
        /// One network, or in a private network one peer, has one vote.
        var network: UInt64
        /// The reporter's address without its port.
        var reporter: SocketAddress
        var address: SocketAddress
        var time: Instant
    }

    /// The address that the socket has, as far as this peer knows.
    package var local: SocketAddress
    private let rule: AddressRule
    private let confirmations: Int
    private let votesByNetwork: Bool
    private var reports: [Report] = []

    /// `trustsPeers`: the members are known (a private network), so that one's word will do.
    package init(local: SocketAddress, rule: AddressRule, trustsPeers: Bool) {
        self.local = local
        self.rule = rule
        confirmations = trustsPeers ? 1 : 2
        votesByNetwork = !trustsPeers
    }

    /// `reporter` says that it sees this peer at `address`. Reports of a network replace its
    /// earlier ones.
    package mutating func record(
        _ address: SocketAddress, by reporter: PeerContact, now: Instant
    ) {
        guard rule.allows(address), !reporter.address.isVirtual else { return }
        let network =
            votesByNetwork ? reporter.address.narrowNetwork : reporter.peer.digest.word0
        reports.removeAll { $0.network == network || now - $0.time > Self.lifetime }
        if reports.count >= Self.reportsMax { reports.removeFirst() }
        reports.append(
            Report(
                network: network, reporter: SocketAddress(ip: reporter.address.ip, port: 0),
                address: address, time: now))
    }

    /// A new socket or a new network: what others saw holds no more.
    package mutating func reset() { reports = [] }

    private func current(_ now: Instant) -> [Report] {
        reports.filter { now - $0.time <= Self.lifetime }
    }

    /// A socket bound to all addresses of a host has one of them, and its own port.
    private func isOwn(_ address: SocketAddress) -> Bool {
        address == local || local.isUnspecified && address.port == local.port
    }

    /// What most say, of those that count now.
    private func majority(_ votes: [Report]) -> (address: SocketAddress, count: Int)? {
        var counts: [(address: SocketAddress, count: Int)] = []
        for vote in votes {
            if let place = counts.firstIndex(where: { $0.address == vote.address }) {
                counts[place].count += 1
            } else {
                counts.append((vote.address, 1))
            }
        }
        guard let best = counts.max(by: { $0.count < $1.count }), best.count * 2 > votes.count
        else { return nil }
        return best
    }

    /// The address that most networks see this peer at, if enough of them do.
    package func publicAddress(now: Instant) -> SocketAddress? {
        guard let best = majority(current(now)), best.count >= confirmations else { return nil }
        return best.address
    }

    /// What the NAT between this peer and the others does.
    package func mapping(now: Instant) -> AddressMapping {
        let votes = current(now)
        guard !votes.isEmpty else { return .unknown }
        guard let best = majority(votes) else { return .addressDependent }
        if isOwn(best.address) { return .none }
        // One that says otherwise may lie; two that do have been given ports of their own.
        guard votes.count - best.count <= 1 else { return .addressDependent }
        let agreeing = Set(votes.filter { $0.address == best.address }.map(\.reporter))
        return agreeing.count >= 2 ? .endpointIndependent : .unknown
    }

    /// Whether others have to be met first, as far as is known: nobody can just dial this peer.
    package func isBehindNAT(now: Instant) -> Bool {
        let votes = current(now)
        return !votes.isEmpty && votes.count { isOwn($0.address) } * 2 <= votes.count
    }

    /// Where openers to this peer may arrive: what most networks see first, then single reports,
    /// the latest first, and its own address if the rule lets it be told.
    package func candidates(now: Instant) -> [SocketAddress] {
        var result: [SocketAddress] = []
        if let address = publicAddress(now: now) { result.append(address) }
        for report in current(now).reversed() where !result.contains(report.address) {
            result.append(report.address)
        }
        if rule.allows(local), !result.contains(local) { result.append(local) }
        return Array(result.prefix(Self.candidatesMax))
    }
}
